// An HTTP/1.1 server on epoll, one thread: every request, whatever it asks for, is answered with the same body, and the connection stays.
//
//     httpd PORT BODY_BYTES SECONDS
//
// Requests may come in any pieces, and several at once; they have no body. Killed by its alarm after SECONDS.
#define _GNU_SOURCE
#include "ends.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

struct connection {
	int fd;
	int matched;     // of the blank line that ends a request, how much has come
	size_t owed;     // octets of answers that are still to be sent
	int waits;       // for room, not for requests
};

static int epfd;
static char *answer;
static size_t answer_len;

static void watch(int operation, int fd, uint32_t events, void *what)
{
	struct epoll_event event = {.events = events, .data.ptr = what};
	if (epoll_ctl(epfd, operation, fd, &event) != 0)
		die("epoll_ctl");
}

// Requests that end in this piece.
static size_t requests(struct connection *c, const char *data, size_t len)
{
	static const char end[] = "\r\n\r\n";
	size_t count = 0;
	for (size_t i = 0; i < len; i++) {
		if (data[i] == end[c->matched])
			c->matched++;
		else
			c->matched = data[i] == '\r';
		if (c->matched == 4) {
			count++;
			c->matched = 0;
		}
	}
	return count;
}

// 1: all is sent; 0: wait for room; -1: the connection is broken.
static int flush(struct connection *c)
{
	while (c->owed > 0) {
		size_t part = c->owed % answer_len ? c->owed % answer_len : answer_len;
		ssize_t n = send(c->fd, answer + (answer_len - part), part, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->owed -= (size_t)n;
	}
	return 1;
}

static void finish(struct connection *c)
{
	// Closing takes the descriptor out of the set.
	close(c->fd);
	free(c);
}

static void serve(struct connection *c)
{
	char data[16 << 10];
	int sent = flush(c);
	if (sent > 0 && !c->waits) {
		ssize_t n = recv(c->fd, data, sizeof data, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			finish(c);
			return;
		}
		c->owed += requests(c, data, (size_t)n) * answer_len;
		sent = flush(c);
	}
	if (sent < 0) {
		finish(c);
		return;
	}
	if (c->waits != !sent) {
		c->waits = !sent;
		watch(EPOLL_CTL_MOD, c->fd, c->waits ? EPOLLOUT : EPOLLIN, c);
	}
}

static void accept_all(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
			return;
		if (fd < 0)
			die("accept4");
		if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
			die("TCP_NODELAY");
		struct connection *c = calloc(1, sizeof *c);
		if (c == NULL)
			die("calloc");
		c->fd = fd;
		watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
	}
}

static void prepare_answer(size_t body)
{
	answer = malloc(body + 256);
	if (answer == NULL)
		die("malloc");
	int head = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
	memset(answer + head, 'x', body);
	answer_len = (size_t)head + body;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: httpd PORT BODY_BYTES SECONDS\n", stderr);
		return 2;
	}
	alarm((unsigned)atoi(argv[3]));
	prepare_answer((size_t)atol(argv[2]));
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    bind(listener, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(listener, 512) != 0)
		die("listen");
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
	watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
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
