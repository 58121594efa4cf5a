/* netinet/tcp.h with tunsock behind its names: compile with -I include/posix before everything else. */
#ifndef TUNSOCK_POSIX_NAMES
#define TUNSOCK_POSIX_NAMES 1
#endif
#include "../../tunsock.h"
#include_next <netinet/tcp.h>
