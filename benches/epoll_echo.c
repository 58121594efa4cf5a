// An echo server on epoll, one thread, as many connections as come.
//
//     epoll_echo PORT SECONDS
//
// Prints "ready PID" when it listens, and is killed by its alarm after SECONDS.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
	int fd;
	size_t from, to; // what of `data` is still to be sent
	int ended;       // the peer has sent everything
	char data[16 << 10];
};

static int epfd;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int operation, int fd, uint32_t events, void *what)
{
	struct epoll_event event = {.events = events, .data.ptr = what};
	if (epoll_ctl(epfd, operation, fd, &event) != 0)
		die("epoll_ctl");
}

static void finish(struct connection *c)
{
	// Closing takes the descriptor out of the set.
	close(c->fd);
	free(c);
}

// Sends what is left. 1: all of it is gone; 0: wait for room; -1: the connection is broken.
static int flush(struct connection *c)
{
	while (c->from < c->to) {
		ssize_t n = send(c->fd, c->data + c->from, c->to - c->from, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->from += (size_t)n;
	}
	c->from = c->to = 0;
	return 1;
}

static void serve(struct connection *c)
{
	for (;;) {
		int flushed = flush(c);
		if (flushed < 0 || (flushed && c->ended)) {
			finish(c);
			return;
		}
		if (!flushed) {
			watch(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
			return;
		}
		ssize_t n = recv(c->fd, c->data, sizeof c->data, 0);
		if (n < 0 && errno == EAGAIN) {
			watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
			return;
		}
		if (n < 0) {
			perror("recv");
			finish(c);
			return;
		}
		c->ended = n == 0;
		c->to = (size_t)n;
	}
}

static void accept_all(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			die("accept4");
		struct connection *c = calloc(1, sizeof *c);
		if (c == NULL)
			die("calloc");
		c->fd = fd;
		watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: epoll_echo PORT SECONDS\n", stderr);
		return 2;
	}
	alarm((unsigned)atoi(argv[2]));
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(listener, 512) != 0)
		die("listen");
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
	watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epfd, events, 64, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				accept_all(listener);
			else
				serve(events[i].data.ptr);
		}
	}
}
