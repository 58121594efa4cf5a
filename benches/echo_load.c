// Connections to an echo server; every byte that comes back is compared.
//
//     echo_load ADDRESS PORT sequence COUNT BYTES     one connection after the other
//     echo_load ADDRESS PORT together COUNT BYTES     all open at once before the first byte is sent, ten times
//
// Prints its own descriptors and resident memory when things have settled (a fifth of the sequence, half of the ten times)
// and at the end ("at=… fds=… rss_kb=…"), and "done=… lost=…"; exits with 1 when anything was lost. Killed by its alarm
// after 60 s.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in server;
static long lost;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void lose(long which, const char *what)
{
	fprintf(stderr, "connection %ld: %s: %s\n", which, what, strerror(errno));
	lost++;
}

// What connection `which` sends at `offset`.
static char pattern(long which, size_t offset)
{
	return (char)((uint64_t)which * 31 + offset * 7 + (offset >> 8));
}

static void report_self(long at)
{
	long fds = -3, rss = 0; // without ".", ".." and the directory itself
	DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL)
		die("/proc/self/fd");
	while (readdir(dir) != NULL)
		fds++;
	closedir(dir);
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		sscanf(line, "VmRSS: %ld", &rss);
	if (status != NULL)
		fclose(status);
	printf("at=%ld fds=%ld rss_kb=%ld\n", at, fds, rss);
	fflush(stdout);
}

// 0 when connection `which` was lost.
static int one(long which, char *data, size_t len)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		die("socket");
	const char *failed = NULL;
	if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
		failed = "connect";
	for (size_t i = 0; i < len; i++)
		data[i] = pattern(which, i);
	if (!failed && send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
		failed = "send";
	if (!failed && recv(fd, data, len, MSG_WAITALL) != (ssize_t)len)
		failed = "recv";
	for (size_t i = 0; !failed && i < len; i++)
		if (data[i] != pattern(which, i))
			failed = "other bytes";
	if (!failed && (shutdown(fd, SHUT_WR) != 0 || recv(fd, data, 1, 0) != 0))
		failed = "end";
	if (failed)
		lose(which, failed);
	close(fd);
	return failed == NULL;
}

static long sequence(long count, size_t len)
{
	char *data = malloc(len);
	if (data == NULL)
		die("malloc");
	long done = 0;
	for (long i = 0; i < count; i++) {
		done += one(i, data, len);
		if (i + 1 == count / 5)
			report_self(i + 1);
	}
	free(data);
	return done;
}

struct exchange {
	size_t sent, received;
	int over;
};

static void open_all(struct pollfd *fds, long count)
{
	for (long i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (fd < 0)
			die("socket");
		if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)
			die("connect");
		fds[i] = (struct pollfd){.fd = fd, .events = POLLOUT};
	}
	for (long i = 0; i < count; i++) {
		int error = 0;
		socklen_t len = sizeof error;
		if (poll(&fds[i], 1, 10000) != 1)
			die("poll for a connection");
		if (getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			die("SO_ERROR");
		errno = error;
		if (error != 0)
			die("connect");
	}
}

// One step of one connection. NULL: goes on, or over when `over` is set.
static const char *step(struct pollfd *fd, struct exchange *e, long which, size_t len)
{
	char data[4096];
	if (fd->revents & POLLOUT) {
		size_t n = len - e->sent < sizeof data ? len - e->sent : sizeof data;
		for (size_t i = 0; i < n; i++)
			data[i] = pattern(which, e->sent + i);
		ssize_t sent = send(fd->fd, data, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return "send";
		e->sent += sent > 0 ? (size_t)sent : 0;
		if (e->sent == len) {
			shutdown(fd->fd, SHUT_WR);
			fd->events = POLLIN;
		}
	}
	if (fd->revents & (POLLIN | POLLHUP | POLLERR)) {
		ssize_t n = recv(fd->fd, data, sizeof data, 0);
		if (n < 0)
			return errno == EAGAIN ? NULL : "recv";
		for (ssize_t i = 0; i < n; i++)
			if (data[i] != pattern(which, e->received + (size_t)i))
				return "other bytes";
		e->received += (size_t)n;
		e->over = n == 0;
		if (n == 0 && e->received != len)
			return "early end";
	}
	return NULL;
}

static long together(long count, size_t len)
{
	struct pollfd *fds = calloc((size_t)count, sizeof *fds);
	struct exchange *all = calloc((size_t)count, sizeof *all);
	if (fds == NULL || all == NULL)
		die("calloc");
	open_all(fds, count);
	for (long i = 0; i < count; i++)
		fds[i].events = POLLIN | POLLOUT;
	long open = count, before = lost;
	while (open > 0) {
		if (poll(fds, (nfds_t)count, 10000) <= 0)
			die("poll");
		for (long i = 0; i < count; i++) {
			if (fds[i].fd < 0 || fds[i].revents == 0)
				continue;
			const char *failed = step(&fds[i], &all[i], i, len);
			if (failed)
				lose(i, failed);
			if (failed || all[i].over) {
				close(fds[i].fd);
				fds[i].fd = -1;
				open--;
			}
		}
	}
	free(all);
	free(fds);
	return count - (lost - before);
}

int main(int argc, char **argv)
{
	if (argc != 6 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
		fputs("usage: echo_load ADDRESS PORT sequence|together COUNT BYTES\n", stderr);
		return 2;
	}
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	long count = atol(argv[4]);
	size_t len = (size_t)atol(argv[5]);
	if (count < 1 || len < 1)
		return 2;
	alarm(60);
	long done = 0;
	if (strcmp(argv[3], "together") == 0) {
		for (int i = 0; i < 10; i++) {
			done += together(count, len);
			if (i == 4)
				report_self(done);
		}
	} else
		done = sequence(count, len);
	report_self(done);
	printf("done=%ld lost=%ld\n", done, lost);
	return lost != 0;
}
