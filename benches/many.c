// The benchmarks' ends where one connection or one thread is not enough; a line of figures each, like net.c.
//
//     many server PORT TEST [options]          prints "ready" when it listens
//     many client ADDRESS PORT TEST [options]
//
//     streams    -s connections at once; -d says who sends: out (the client), in (the server), both. Each direction of a connection is a
//                thread's
//     accept     -s threads of the client connect, shut down, read the end and close, for one thread of the server
//     datagrams  one end (-d out: the client, in: the server) sends datagrams of -n bytes as fast as it can, the other counts
//
// -w MS warm-up, -t MS window, -b BYTES bulk buffer. An end that waits longer than all of it and 10 s is killed by its alarm.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ends.h"

enum { MOST = 64 };

static struct {
	const char *test;
	int server, streams, out, in; // out, in: as seen from the client
	struct sockaddr_in addr;
	uint64_t warm_ns, window_ns;
	size_t message, bulk;
} c = {.streams = 4, .out = 1, .warm_ns = 300000000u, .window_ns = 1000000000u, .message = 64, .bulk = 128 << 10};

static uint64_t start_ns;
static atomic_ullong sent, received, operations;

// Senders go on a little longer than anybody counts.
static uint64_t end_ns(void)
{
	return start_ns + c.warm_ns + c.window_ns + 100000000u;
}

static void report_head(int complete, uint64_t ns, double cpu)
{
	printf("test=%s role=%s complete=%d seconds=%.4f cpu=%.4f peak_kb=%ld", c.test, c.server ? "server" : "client", complete,
	       (double)ns / 1e9, cpu, status_kb("VmHWM:"));
}

static void *send_thread(void *argument)
{
	int fd = *(int *)argument;
	char *data = buffer(c.bulk);
	while (now_ns() < end_ns()) {
		ssize_t n = send(fd, data, c.bulk, MSG_NOSIGNAL);
		if (n < 0)
			die("send");
		sent += (uint64_t)n;
	}
	if (shutdown(fd, SHUT_WR) != 0)
		die("shutdown");
	free(data);
	return NULL;
}

static void *receive_thread(void *argument)
{
	int fd = *(int *)argument;
	char *data = buffer(c.bulk);
	ssize_t n;
	while ((n = recv(fd, data, c.bulk, 0)) > 0)
		received += (uint64_t)n;
	if (n < 0)
		die("recv");
	free(data);
	return NULL;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		continue;
}

static void begin_thread(pthread_t *thread, void *(*what)(void *), void *argument)
{
	errno = pthread_create(thread, NULL, what, argument);
	if (errno != 0)
		die("pthread_create");
}

static void streams(int *fds)
{
	pthread_t threads[2 * MOST];
	int count = 0;
	int sends = c.server ? c.in : c.out, receives = c.server ? c.out : c.in;
	start_ns = now_ns();
	for (int i = 0; i < c.streams; i++) {
		if (sends)
			begin_thread(&threads[count++], send_thread, &fds[i]);
		// A receiver also sees the end of a direction in which nothing goes.
		begin_thread(&threads[count++], receive_thread, &fds[i]);
		if (!sends && shutdown(fds[i], SHUT_WR) != 0)
			die("shutdown");
	}
	sleep_until(start_ns + c.warm_ns);
	uint64_t from = now_ns(), sent_from = sent, received_from = received;
	double cpu_from = cpu_seconds();
	sleep_until(start_ns + c.warm_ns + c.window_ns);
	uint64_t to = now_ns(), out = sent - sent_from, in = received - received_from;
	double cpu = cpu_seconds() - cpu_from, seconds = (double)(to - from) / 1e9;
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < c.streams; i++)
		close(fds[i]);
	double moved = (double)((sends ? out : 0) + (receives ? in : 0));
	// Whoever came late to the window's edge has seen too little of it.
	report_head(moved > 0 && to - from > c.window_ns * 4 / 5, to - from, cpu);
	printf(" sent=%llu received=%llu out_gbit=%.4f in_gbit=%.4f cpu_s_per_gb=%.4f\n", (unsigned long long)sent,
	       (unsigned long long)received, (double)out * 8 / seconds / 1e9, (double)in * 8 / seconds / 1e9,
	       moved > 0 ? cpu / (moved / 1e9) : 0);
}

static void streams_client(void)
{
	int fds[MOST];
	for (int i = 0; i < c.streams; i++)
		fds[i] = connected(&c.addr, SOCK_STREAM);
	streams(fds);
}

static void streams_server(void)
{
	int fds[MOST], listener = bound(&c.addr, SOCK_STREAM);
	for (int i = 0; i < c.streams; i++)
		fds[i] = accepted(listener);
	streams(fds);
}

static void *connect_thread(void *unused)
{
	char byte;
	while (now_ns() < end_ns()) {
		int fd = connected(&c.addr, SOCK_STREAM);
		shutdown(fd, SHUT_WR);
		if (recv(fd, &byte, 1, 0) != 0)
			die("recv of the end");
		close(fd);
		operations++;
	}
	return unused;
}

static void accept_client(void)
{
	pthread_t threads[MOST];
	start_ns = now_ns();
	for (int i = 0; i < c.streams; i++)
		begin_thread(&threads[i], connect_thread, NULL);
	sleep_until(start_ns + c.warm_ns);
	uint64_t from = now_ns(), before = operations;
	double cpu_from = cpu_seconds();
	sleep_until(start_ns + c.warm_ns + c.window_ns);
	uint64_t to = now_ns(), count = operations - before;
	double cpu = cpu_seconds() - cpu_from;
	for (int i = 0; i < c.streams; i++)
		pthread_join(threads[i], NULL);
	// A connection with something in it is the last one.
	int last = connected(&c.addr, SOCK_STREAM);
	if (send(last, "q", 1, MSG_NOSIGNAL) != 1)
		die("send");
	close(last);
	report_head(1, to - from, cpu);
	printf(" per_s=%.1f\n", (double)count * 1e9 / (double)(to - from));
}

static void accept_server(void)
{
	int listener = bound(&c.addr, SOCK_STREAM);
	uint64_t from = 0, to = 0, count = 0;
	double cpu_from = 0, cpu = 0;
	for (char byte;;) {
		int fd = accepted(listener);
		ssize_t n = recv(fd, &byte, 1, 0);
		if (n < 0)
			die("recv");
		close(fd);
		if (n > 0)
			break;
		uint64_t now = now_ns();
		if (start_ns == 0)
			start_ns = now;
		if (from == 0 && now >= start_ns + c.warm_ns) {
			from = now;
			cpu_from = cpu_seconds();
		} else if (from != 0 && to == 0) {
			count++;
			if (now >= from + c.window_ns) {
				to = now;
				cpu = cpu_seconds() - cpu_from;
			}
		}
	}
	uint64_t ns = to > from ? to - from : 0;
	report_head(ns > 0, ns, cpu);
	printf(" per_s=%.1f\n", ns > 0 ? (double)count * 1e9 / (double)ns : 0);
}

static void send_datagrams(int fd)
{
	char *data = buffer(c.message);
	uint64_t count = 0, refused = 0, from = 0, to = 0, now;
	start_ns = now_ns();
	while ((now = now_ns()) < end_ns()) {
		if (send(fd, data, c.message, 0) >= 0)
			count++;
		else if (errno == ECONNREFUSED || errno == ENETUNREACH || errno == ENOBUFS || errno == EAGAIN)
			refused++; // the other end has counted enough and is gone, maybe with its device, or somebody's queue is full
		else
			die("send");
		if (from == 0 && now >= start_ns + c.warm_ns) {
			from = now;
			count = 0;
		} else if (to == 0 && now >= start_ns + c.warm_ns + c.window_ns) {
			to = now;
			break;
		}
	}
	report_head(to > 0, to - from, cpu_seconds());
	printf(" sent_per_s=%.1f refused=%llu\n", to > 0 ? (double)count * 1e9 / (double)(to - from) : 0, (unsigned long long)refused);
}

static void receive_datagrams(int fd, int asks)
{
	struct timeval patience = {.tv_usec = 100000};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
		die("SO_RCVTIMEO");
	char *data = buffer(c.message);
	uint64_t count = 0, from = 0, to = 0, began = now_ns(), now = began;
	double cpu_from = 0, cpu = 0;
	while (to == 0 && now < began + 2 * (c.warm_ns + c.window_ns) + 5000000000u) {
		if (asks && start_ns == 0 && send(fd, data, 1, 0) < 0 && errno != ECONNREFUSED)
			die("send");
		ssize_t n = recv(fd, data, c.message, 0);
		now = now_ns();
		if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED)
			die("recv");
		if (n < 0 && start_ns == 0)
			continue;
		if (start_ns == 0)
			start_ns = now;
		count += n >= 0;
		if (from == 0 && now >= start_ns + c.warm_ns) {
			from = now;
			count = 0;
			cpu_from = cpu_seconds();
		} else if (from != 0 && now >= from + c.window_ns - 50000000u) {
			// Shorter by a little: the sender may have begun a little earlier.
			to = now;
			cpu = cpu_seconds() - cpu_from;
		}
	}
	report_head(to > 0, to > 0 ? to - from : 0, cpu);
	printf(" per_s=%.1f cpu_us=%.3f\n", to > 0 ? (double)count * 1e9 / (double)(to - from) : 0, count > 0 ? cpu * 1e6 / (double)count : 0);
}

static void datagrams_client(void)
{
	int fd = connected(&c.addr, SOCK_DGRAM);
	if (c.out)
		send_datagrams(fd);
	else
		receive_datagrams(fd, 1);
}

static void datagrams_server(void)
{
	int fd = bound(&c.addr, SOCK_DGRAM);
	if (c.out) {
		receive_datagrams(fd, 0);
		return;
	}
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	char byte;
	if (recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &len) < 0 || connect(fd, (struct sockaddr *)&from, len) != 0)
		die("the client's first");
	send_datagrams(fd);
}

static const struct {
	const char *name;
	void (*client)(void);
	void (*server)(void);
} tests[] = {
	{"streams", streams_client, streams_server},
	{"accept", accept_client, accept_server},
	{"datagrams", datagrams_client, datagrams_server},
};

static int usage(void)
{
	fputs("usage: many server PORT TEST [options]\n"
	      "       many client ADDRESS PORT TEST [options]\n"
	      "TEST: streams accept datagrams\n"
	      "options: -w WARM_MS -t WINDOW_MS -s STREAMS -d out|in|both -n MESSAGE -b BULK\n",
	      stderr);
	return 2;
}

static int read_options(int argc, char **argv)
{
	for (int option; (option = getopt(argc, argv, "w:t:s:d:n:b:")) != -1;) {
		if (option == 'd') {
			int both = strcmp(optarg, "both") == 0;
			c.out = both || strcmp(optarg, "out") == 0;
			c.in = both || strcmp(optarg, "in") == 0;
			continue;
		}
		long value = strtol(optarg ? optarg : "", NULL, 10);
		if (value < 1 || value > 100000000)
			return 0;
		switch (option) {
		case 'w': c.warm_ns = (uint64_t)value * 1000000u; break;
		case 't': c.window_ns = (uint64_t)value * 1000000u; break;
		case 's': c.streams = (int)value; break;
		case 'n': c.message = (size_t)value; break;
		case 'b': c.bulk = (size_t)value; break;
		default: return 0;
		}
	}
	return c.streams <= MOST && (c.out || c.in);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	c.server = argc > 1 && strcmp(argv[1], "server") == 0;
	int at = c.server ? 2 : 3;
	if (argc < at + 2 || (!c.server && strcmp(argv[1], "client") != 0))
		return usage();
	c.addr.sin_family = AF_INET;
	if (!c.server && inet_pton(AF_INET, argv[2], &c.addr.sin_addr) != 1)
		return usage();
	c.addr.sin_port = htons((uint16_t)atoi(argv[at]));
	c.test = argv[at + 1];
	if (!read_options(argc - at - 1, argv + at + 1))
		return usage();
	alarm((unsigned)((c.warm_ns + c.window_ns) / 1000000000u) + 10);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		if (strcmp(tests[i].name, c.test) == 0) {
			(c.server ? tests[i].server : tests[i].client)();
			return 0;
		}
	}
	return usage();
}
