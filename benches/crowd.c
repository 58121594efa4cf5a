// Many idle connections and a busy one: what each costs, and what they do to the busy one.
//
//     crowd server PORT MOST                      listens at PORT to PORT+31, prints "ready"
//     crowd client ADDRESS PORT EXCHANGES COUNT…  COUNT rises; a line of figures for each
//
// The server is one thread on epoll and keeps nothing of its own for a connection. A message has 64 octets; one that begins with '?' is
// answered with what the server has used, any other by itself. The client opens the busy connection, then idle ones up to each COUNT, waits
// three seconds (what a connection needs only while something is out is gone by then), and times EXCHANGES on the busy one:
// count=… octets_each=… (the server's resident memory for a connection, kernel memory is not in it) connections_per_s=… rtt_p50_us=…
// rtt_mean_us=… cpu_us=… (the server's, an exchange) accepted=… (by the server: where fewer descriptors are allowed than there are
// connections, the others stay in the listeners' queues). An alarm ends each after 300 s.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "ends.h"

// A listener's queue has 4096 places, and so have these together for all of a hundred thousand; a client's address has enough ports for each.
enum { PORTS = 32, QUEUE = 4096, MESSAGE = 64, SETTLE_S = 3, A_PROCESS = 10000 };

struct used {
	long rss_kb, accepted;
	double cpu;
};

static long accepted_count;

// As many descriptors as are allowed, `count` at most; how many that are.
static size_t allow_descriptors(size_t count)
{
	struct rlimit limit, wanted = {.rlim_cur = count, .rlim_max = count};
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("getrlimit");
	if (limit.rlim_cur >= count || (limit.rlim_max < count && setrlimit(RLIMIT_NOFILE, &wanted) == 0))
		return count;
	wanted = (struct rlimit){.rlim_cur = limit.rlim_max < count ? limit.rlim_max : count, .rlim_max = limit.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &wanted) != 0)
		die("RLIMIT_NOFILE");
	return wanted.rlim_cur;
}

static void read_message(int fd, char *data)
{
	if (recv(fd, data, MESSAGE, MSG_WAITALL) != MESSAGE)
		die("recv");
}

static void send_message(int fd, const char *data)
{
	if (send(fd, data, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
		die("send");
}

static void watch(int epfd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl");
}

// 0 when there is no descriptor for another.
static int accept_all(int epfd, int listener, size_t most)
{
	while ((size_t)accepted_count < most) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && errno == EAGAIN)
			return 1;
		if (fd < 0)
			die("accept4");
		watch(epfd, fd);
		accepted_count++;
	}
	return 0;
}

// 0 at the end of the connection.
static int answer(int fd)
{
	char data[MESSAGE];
	ssize_t n = recv(fd, data, sizeof data, MSG_WAITALL);
	if (n != MESSAGE)
		return 0;
	if (data[0] == '?') {
		struct used used = {.rss_kb = status_kb("VmRSS:"), .accepted = accepted_count, .cpu = cpu_seconds()};
		memcpy(data, &used, sizeof used);
	}
	send_message(fd, data);
	return 1;
}

static int serve(struct sockaddr_in at, size_t most)
{
	int listeners[PORTS], epfd = epoll_create1(EPOLL_CLOEXEC);
	size_t room = allow_descriptors(most + 200) - 200;
	if (epfd < 0)
		die("epoll_create1");
	in_port_t port = ntohs(at.sin_port);
	for (int i = 0; i < PORTS; i++) {
		at.sin_port = htons((in_port_t)(port + i));
		listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (listeners[i] < 0 || bind(listeners[i], (struct sockaddr *)&at, sizeof at) != 0 || listen(listeners[i], QUEUE) != 0)
			die("listen");
		watch(epfd, listeners[i]);
	}
	puts("ready");
	for (int busy = -1, full = 0;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epfd, events, 64, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd, listens = 0;
			for (int j = 0; j < PORTS; j++)
				listens |= fd == listeners[j];
			if (listens) {
				int was_full = full;
				full = !accept_all(epfd, fd, room);
				for (int j = 0; full && !was_full && j < PORTS; j++)
					if (epoll_ctl(epfd, EPOLL_CTL_DEL, listeners[j], NULL) != 0)
						die("epoll_ctl");
				continue;
			}
			if (busy < 0)
				busy = fd;
			if (!answer(fd)) {
				if (fd == busy)
					return 0;
				close(fd);
			}
		}
	}
}

static struct used ask(int fd)
{
	char data[MESSAGE] = "?";
	struct used used;
	send_message(fd, data);
	read_message(fd, data);
	memcpy(&used, data, sizeof used);
	return used;
}

static void exchange(int fd, double *us, size_t count)
{
	char data[MESSAGE] = "x";
	for (size_t i = 0; i < count; i++) {
		uint64_t before = now_ns();
		send_message(fd, data);
		read_message(fd, data);
		us[i] = (double)(now_ns() - before) / 1e3;
	}
}

// A process of its own opens some and holds them as long as this one is there.
static void open_some(struct sockaddr_in to, size_t from, size_t until)
{
	int opened[2];
	char byte;
	if (pipe(opened) != 0)
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		allow_descriptors(A_PROCESS + 100);
		in_port_t port = ntohs(to.sin_port);
		for (size_t i = from; i < until; i++) {
			to.sin_port = htons((in_port_t)(port + i % PORTS));
			connected(&to, SOCK_STREAM);
		}
		if (write(opened[1], "", 1) != 1)
			die("write");
		for (;;)
			pause();
	}
	close(opened[1]);
	if (read(opened[0], &byte, 1) != 1)
		die("a process that opens connections");
	close(opened[0]);
}

static int ask_all(struct sockaddr_in to, size_t exchanges, int counts, char **words)
{
	double *us = malloc(exchanges * sizeof *us);
	size_t open = 0;
	int on = 1;
	if (us == NULL)
		die("malloc");
	int busy = connected(&to, SOCK_STREAM);
	if (setsockopt(busy, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
		die("TCP_NODELAY");
	// What only the first use needs is no cost of a connection.
	exchange(busy, us, exchanges);
	long rss_kb = ask(busy).rss_kb;
	for (int i = 0; i < counts; i++) {
		size_t count = (size_t)atol(words[i]), before = open;
		uint64_t start = now_ns();
		while (open < count) {
			size_t until = count - open > A_PROCESS ? open + A_PROCESS : count;
			open_some(to, open, until);
			open = until;
		}
		double took = (double)(now_ns() - start) / 1e9;
		struct timespec settle = {.tv_sec = SETTLE_S};
		nanosleep(&settle, NULL);
		struct used from = ask(busy);
		exchange(busy, us, exchanges);
		struct used to_ = ask(busy);
		double sum = 0;
		for (size_t j = 0; j < exchanges; j++)
			sum += us[j];
		double half = median(us, exchanges);
		printf("count=%zu octets_each=%.0f connections_per_s=%.0f rtt_p50_us=%.2f rtt_mean_us=%.2f cpu_us=%.3f accepted=%ld\n", count,
		       (double)(from.rss_kb - rss_kb) * 1024 / (double)count, (double)(open - before) / took, half,
		       sum / (double)exchanges, (to_.cpu - from.cpu) * 1e6 / (double)exchanges, from.accepted);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(300);
	if (argc == 4 && strcmp(argv[1], "server") == 0) {
		addr.sin_port = htons((uint16_t)atoi(argv[2]));
		return serve(addr, (size_t)atol(argv[3]));
	}
	if (argc > 5 && strcmp(argv[1], "client") == 0 && inet_pton(AF_INET, argv[2], &addr.sin_addr) == 1 && atol(argv[4]) > 0) {
		addr.sin_port = htons((uint16_t)atoi(argv[3]));
		return ask_all(addr, (size_t)atol(argv[4]), argc - 5, argv + 5);
	}
	fputs("usage: crowd server PORT MOST\n       crowd client ADDRESS PORT EXCHANGES COUNT…\n", stderr);
	return 2;
}
