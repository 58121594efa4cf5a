// What the benchmarks' two ends share: clocks, what a process has used, and sockets.
#ifndef ENDS_H
#define ENDS_H

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// User and system time of all threads.
static inline double cpu_seconds(void)
{
	struct rusage u;
	if (getrusage(RUSAGE_SELF, &u) != 0)
		die("getrusage");
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// Seconds that this thread was ready to run and did not get a CPU: with much of it a figure is the machine's, not the stack's.
static inline double queued_seconds(void)
{
	unsigned long long ran, queued = 0;
	FILE *file = fopen("/proc/self/schedstat", "r");
	if (file == NULL || fscanf(file, "%llu %llu", &ran, &queued) != 2)
		queued = 0;
	if (file != NULL)
		fclose(file);
	return (double)queued / 1e9;
}

// A line of /proc/self/status that tells kilobytes, as "VmHWM:"; the kernel's memory for its sockets is in none of them.
static inline long status_kb(const char *name)
{
	long kb = 0;
	char line[256];
	size_t len = strlen(name);
	FILE *file = fopen("/proc/self/status", "r");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, name, len) == 0)
			kb = atol(line + len);
	if (file != NULL)
		fclose(file);
	return kb;
}

static inline int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// Sorts what it is given.
static inline double median(double *all, size_t count)
{
	qsort(all, count, sizeof *all, compare);
	return (all[(count - 1) / 2] + all[count / 2]) / 2;
}

static inline char *buffer(size_t len)
{
	char *data = malloc(len);
	if (data == NULL)
		die("malloc");
	memset(data, 'x', len);
	return data;
}

static inline int connected(const struct sockaddr_in *to, int kind)
{
	int fd = socket(AF_INET, kind, 0);
	if (fd < 0)
		die("socket");
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
		die("connect");
	return fd;
}

// Bound, and a stream socket listens; then the other end may be told.
static inline int bound(const struct sockaddr_in *at, int kind)
{
	int fd = socket(AF_INET, kind, 0), on = 1;
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
		die("SO_REUSEADDR");
	if (bind(fd, (const struct sockaddr *)at, sizeof *at) != 0)
		die("bind");
	if (kind == SOCK_STREAM && listen(fd, 128) != 0)
		die("listen");
	puts("ready");
	return fd;
}

static inline int accepted(int listener)
{
	int fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("accept");
	return fd;
}

#endif
