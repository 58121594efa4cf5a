/* winsock.h: the older name of the same face. */
#include <winsock2.h>
