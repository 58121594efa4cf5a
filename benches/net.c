// The program that the benchmarks run at both ends: plain sockets, one test, one process an end, one line of figures.
//
//     net server PORT TEST [options]          prints "ready" when it listens
//     net client ADDRESS PORT TEST [options]
//     net offload DEVICE                      what a device cuts and sums for its packets, by ethtool's ioctl
//
//     sink       the client sends, the server counts
//     source     the server sends, the client counts
//     pingpong   one request and one response of -n bytes at a time over one connection
//     connect    connect, shutdown, read the end, close, one at a time
//     udp        an echo of -n bytes with -k datagrams on the way
//
// -w MS warm-up, -t MS window, -n BYTES message size (of udp at least 8), -b BYTES bulk buffer, -k COUNT datagrams on the way,
// -c NAME congestion control of a stream's ends, -e: the receiving end of sink or source closes after its window, however
// much is still on the way, and the window begins with the connection.
// Figures are of the window, which begins after the warm-up. An end that waits longer than all of it and 10 s is
// killed by its alarm.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "ends.h"

struct config {
	const char *test;
	int server;
	struct sockaddr_in addr;
	uint64_t warm_ns, window_ns;
	size_t message, bulk;
	int in_flight, ends;
	const char *congestion; // NULL: as it is
};

// What was used between the start and the end of the window.
struct meter {
	uint64_t from_ns, to_ns; // 0: not reached
	double cpu_from, cpu_to; // seconds, user and system, of all threads
	double queued_from, queued_to;
	uint64_t count;          // bytes or operations inside the window
};

// Counts `amount`, which was complete at `now`, if that is inside the window of a test begun at `start`.
static void meter_count(struct meter *m, const struct config *c, uint64_t start, uint64_t now, uint64_t amount)
{
	if (now < start + c->warm_ns || m->to_ns != 0)
		return;
	if (m->from_ns == 0) {
		m->from_ns = now;
		m->cpu_from = cpu_seconds();
		m->queued_from = queued_seconds();
		return;
	}
	m->count += amount;
	if (now - m->from_ns >= c->window_ns) {
		m->to_ns = now;
		m->cpu_to = cpu_seconds();
		m->queued_to = queued_seconds();
	}
}

// The common head of the line of figures.
static double report_head(const struct config *c, const struct meter *m)
{
	double seconds = m->to_ns != 0 ? (double)(m->to_ns - m->from_ns) / 1e9 : 0;
	int complete = m->to_ns != 0;
	printf("test=%s role=%s complete=%d seconds=%.4f cpu=%.4f queued=%.4f peak_kb=%ld", c->test, c->server ? "server" : "client",
	       complete, seconds, complete ? m->cpu_to - m->cpu_from : 0, complete ? m->queued_to - m->queued_from : 0, status_kb("VmHWM:"));
	return seconds;
}

static void report_stream(const struct config *c, const struct meter *m, uint64_t total)
{
	double seconds = report_head(c, m);
	double gbit = seconds > 0 ? (double)m->count * 8 / seconds / 1e9 : 0;
	double cpu_gb = m->count > 0 && seconds > 0 ? (m->cpu_to - m->cpu_from) / ((double)m->count / 1e9) : 0;
	printf(" bytes=%llu total=%llu gbit=%.4f cpu_s_per_gb=%.4f\n", (unsigned long long)m->count,
	       (unsigned long long)total, gbit, cpu_gb);
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

struct samples {
	uint32_t *ns;
	size_t count, room;
};

static void sample(struct samples *s, uint64_t ns)
{
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 1 << 16;
		s->ns = realloc(s->ns, s->room * sizeof *s->ns);
		if (s->ns == NULL)
			die("realloc");
	}
	s->ns[s->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static void report_times(const struct config *c, const struct meter *m, struct samples *s, uint64_t lost)
{
	double p50 = 0, p99 = 0, p999 = 0;
	if (s->count > 0) {
		qsort(s->ns, s->count, sizeof *s->ns, compare_u32);
		p50 = s->ns[s->count / 2] / 1e3;
		p99 = s->ns[s->count - 1 - s->count / 100] / 1e3;
		p999 = s->ns[s->count - 1 - s->count / 1000] / 1e3;
	}
	double seconds = report_head(c, m);
	double cpu_us = m->count > 0 && seconds > 0 ? (m->cpu_to - m->cpu_from) * 1e6 / (double)m->count : 0;
	printf(" count=%llu per_s=%.1f p50_us=%.2f p99_us=%.2f p999_us=%.2f lost=%llu cpu_us=%.2f\n", (unsigned long long)m->count,
	       seconds > 0 ? (double)m->count / seconds : 0, p50, p99, p999,
	       (unsigned long long)lost, cpu_us);
}

static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0)
			die("send");
		data += n;
		len -= (size_t)n;
	}
}

// 0 at the end of the stream.
static int read_all(int fd, char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, data, len, 0);
		if (n < 0)
			die("recv");
		if (n == 0)
			return 0;
		data += n;
		len -= (size_t)n;
	}
	return 1;
}

static void no_delay(int fd)
{
	int on = 1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
		die("TCP_NODELAY");
}

static void set_congestion(const struct config *c, int fd)
{
	if (c->congestion == NULL)
		return;
	char name[16] = "";
	socklen_t len = sizeof name;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, c->congestion, (socklen_t)strlen(c->congestion)) != 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) != 0)
		die(c->congestion);
	if (strncmp(name, c->congestion, sizeof name) != 0)
		errno = EINVAL, die(name);
}

// Sends until the other end has had enough: that is a reset, as most is still on the way.
static void stream_send_until_reset(const struct config *c, int fd)
{
	char *data = buffer(c->bulk);
	uint64_t total = 0, start = now_ns();
	for (ssize_t n; (n = send(fd, data, c->bulk, MSG_NOSIGNAL)) >= 0;)
		total += (uint64_t)n;
	if (errno != ECONNRESET && errno != EPIPE)
		die("send");
	struct tcp_info info;
	socklen_t len = sizeof info;
	memset(&info, 0, sizeof info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		die("TCP_INFO");
	close(fd);
	printf("test=%s role=%s sent=%llu after=%.4f retrans=%u reordering=%u cwnd=%u ssthresh=%u rtt_us=%u cpu=%.4f\n", c->test,
	       c->server ? "server" : "client", (unsigned long long)total, (double)(now_ns() - start) / 1e9, info.tcpi_total_retrans,
	       info.tcpi_reordering, info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh, info.tcpi_rtt, cpu_seconds());
}

static void stream_send(const struct config *c, int fd)
{
	set_congestion(c, fd);
	if (c->ends) {
		stream_send_until_reset(c, fd);
		return;
	}
	char *data = buffer(c->bulk);
	struct meter m = {0};
	uint64_t total = 0, start = now_ns(), now = start;
	// A little longer than the other end counts.
	uint64_t end = start + c->warm_ns + c->window_ns + 100000000u;
	while (now < end) {
		ssize_t n = send(fd, data, c->bulk, MSG_NOSIGNAL);
		if (n < 0)
			die("send");
		now = now_ns();
		total += (uint64_t)n;
		meter_count(&m, c, start, now, (uint64_t)n);
	}
	shutdown(fd, SHUT_WR);
	if (recv(fd, data, 1, 0) < 0)
		die("recv of the end");
	close(fd);
	report_stream(c, &m, total);
}

static void stream_receive(const struct config *c, int fd)
{
	char *data = buffer(c->bulk);
	struct meter m = {0};
	uint64_t total = 0, start = 0;
	if (c->ends) {
		start = m.from_ns = now_ns();
		m.cpu_from = cpu_seconds();
		m.queued_from = queued_seconds();
	}
	while (!c->ends || m.to_ns == 0) {
		ssize_t n = recv(fd, data, c->bulk, 0);
		if (n < 0)
			die("recv");
		if (n == 0)
			break;
		uint64_t now = now_ns();
		if (start == 0)
			start = now;
		total += (uint64_t)n;
		meter_count(&m, c, start, now, (uint64_t)n);
	}
	close(fd);
	report_stream(c, &m, total);
}

static void pingpong_client(const struct config *c)
{
	int fd = connected(&c->addr, SOCK_STREAM);
	no_delay(fd);
	char *data = buffer(c->message);
	struct meter m = {0};
	struct samples s = {0};
	uint64_t start = now_ns(), before = start;
	while (m.to_ns == 0) {
		write_all(fd, data, c->message);
		if (!read_all(fd, data, c->message))
			die("early end");
		uint64_t after = now_ns();
		meter_count(&m, c, start, after, 1);
		if (m.from_ns != 0 && m.from_ns != after)
			sample(&s, after - before);
		before = now_ns();
	}
	close(fd);
	report_times(c, &m, &s, 0);
}

static void pingpong_server(const struct config *c)
{
	int fd = accepted(bound(&c->addr, SOCK_STREAM));
	no_delay(fd);
	char *data = buffer(c->message);
	struct meter m = {0};
	struct samples none = {0};
	uint64_t start = now_ns();
	while (read_all(fd, data, c->message)) {
		write_all(fd, data, c->message);
		meter_count(&m, c, start, now_ns(), 1);
	}
	close(fd);
	report_times(c, &m, &none, 0);
}

static void connect_client(const struct config *c)
{
	struct meter m = {0};
	struct samples s = {0};
	char byte;
	uint64_t start = now_ns(), before = start;
	while (m.to_ns == 0) {
		int fd = connected(&c->addr, SOCK_STREAM);
		shutdown(fd, SHUT_WR);
		if (recv(fd, &byte, 1, 0) != 0)
			die("recv of the end");
		close(fd);
		uint64_t after = now_ns();
		meter_count(&m, c, start, after, 1);
		if (m.from_ns != 0 && m.from_ns != after)
			sample(&s, after - before);
		before = after;
	}
	// A connection with something in it is the last one.
	int last = connected(&c->addr, SOCK_STREAM);
	write_all(last, "q", 1);
	close(last);
	report_times(c, &m, &s, 0);
}

static void connect_server(const struct config *c)
{
	int listener = bound(&c->addr, SOCK_STREAM);
	struct meter m = {0};
	struct samples none = {0};
	uint64_t start = 0;
	for (;;) {
		char byte;
		int fd = accepted(listener);
		if (start == 0)
			start = now_ns();
		ssize_t n = recv(fd, &byte, 1, 0);
		if (n < 0)
			die("recv");
		close(fd);
		if (n > 0)
			break;
		meter_count(&m, c, start, now_ns(), 1);
	}
	report_times(c, &m, &none, 0);
}

// The time that a datagram was sent at leads it; a zero ends the server.
static void udp_send(int fd, char *data, size_t len, uint64_t stamp)
{
	memcpy(data, &stamp, sizeof stamp);
	if (send(fd, data, len, 0) < 0)
		die("send");
}

static void udp_client(const struct config *c)
{
	int fd = connected(&c->addr, SOCK_DGRAM);
	struct timeval patience = {.tv_usec = 50000};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
		die("SO_RCVTIMEO");
	char *data = buffer(c->message);
	struct meter m = {0};
	struct samples s = {0};
	uint64_t lost = 0, start = now_ns(), bound = start + c->warm_ns + 3 * c->window_ns;
	int out = 0;
	while (m.to_ns == 0 && now_ns() < bound) {
		for (; out < c->in_flight; out++)
			udp_send(fd, data, c->message, now_ns());
		if (recv(fd, data, c->message, 0) < 0) {
			if (errno != EAGAIN)
				die("recv");
			lost += (uint64_t)out;
			out = 0;
			continue;
		}
		uint64_t sent, now = now_ns();
		memcpy(&sent, data, sizeof sent);
		out -= out > 0;
		meter_count(&m, c, start, now, 1);
		if (m.from_ns != 0)
			sample(&s, now - sent);
	}
	// One may be lost; the others come back as refused when the first one got there.
	memset(data, 0, sizeof(uint64_t));
	for (int i = 0; i < 3; i++)
		if (send(fd, data, c->message, 0) < 0 && errno != ECONNREFUSED)
			die("send");
	close(fd);
	report_times(c, &m, &s, lost);
}

static void udp_server(const struct config *c)
{
	int fd = bound(&c->addr, SOCK_DGRAM);
	char *data = buffer(c->message);
	struct meter m = {0};
	struct samples none = {0};
	uint64_t start = 0, stamp;
	for (;;) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(fd, data, c->message, 0, (struct sockaddr *)&from, &from_len);
		if (n < (ssize_t)sizeof stamp)
			die("recvfrom");
		memcpy(&stamp, data, sizeof stamp);
		if (stamp == 0)
			break;
		if (sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, from_len) != n)
			die("sendto");
		uint64_t now = now_ns();
		if (start == 0)
			start = now;
		meter_count(&m, c, start, now, 1);
	}
	close(fd);
	report_times(c, &m, &none, 0);
}

static int ethtool_flag(const char *device, uint32_t command)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct ethtool_value value = {.cmd = command};
	struct ifreq request = {.ifr_data = (void *)&value};
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
	int failed = fd < 0 || ioctl(fd, SIOCETHTOOL, &request) != 0;
	if (fd >= 0)
		close(fd);
	return failed ? -1 : value.data != 0;
}

static int offload(const char *device)
{
	int sums = ethtool_flag(device, ETHTOOL_GTXCSUM), tso = ethtool_flag(device, ETHTOOL_GTSO);
	printf("checksums %s, TSO %s\n", sums == 1 ? "on" : sums == 0 ? "off" : "unknown",
	       tso == 1 ? "on" : tso == 0 ? "off" : "unknown");
	return sums < 0 || tso < 0;
}

static void sink_client(const struct config *c) { stream_send(c, connected(&c->addr, SOCK_STREAM)); }
static void sink_server(const struct config *c) { stream_receive(c, accepted(bound(&c->addr, SOCK_STREAM))); }
static void source_client(const struct config *c) { stream_receive(c, connected(&c->addr, SOCK_STREAM)); }
static void source_server(const struct config *c) { stream_send(c, accepted(bound(&c->addr, SOCK_STREAM))); }

static const struct {
	const char *name;
	void (*client)(const struct config *);
	void (*server)(const struct config *);
} tests[] = {
	{"sink", sink_client, sink_server},
	{"source", source_client, source_server},
	{"pingpong", pingpong_client, pingpong_server},
	{"connect", connect_client, connect_server},
	{"udp", udp_client, udp_server},
};

static int usage(void)
{
	fputs("usage: net server PORT TEST [options]\n"
	      "       net client ADDRESS PORT TEST [options]\n"
	      "       net offload DEVICE\n"
	      "TEST: sink source pingpong connect udp\n"
	      "options: -w WARM_MS -t WINDOW_MS -n MESSAGE -b BULK -k IN_FLIGHT -c CONGESTION -e\n",
	      stderr);
	return 2;
}

static int read_options(struct config *c, int argc, char **argv)
{
	for (int option; (option = getopt(argc, argv, "w:t:n:b:k:c:e")) != -1;) {
		if (option == 'c') {
			c->congestion = optarg;
			continue;
		}
		if (option == 'e') {
			c->ends = 1;
			c->warm_ns = 0;
			continue;
		}
		long value = strtol(optarg ? optarg : "", NULL, 10);
		if (value < 1 || value > 100000000)
			return 0;
		switch (option) {
		case 'w': c->warm_ns = (uint64_t)value * 1000000u; break;
		case 't': c->window_ns = (uint64_t)value * 1000000u; break;
		case 'n': c->message = (size_t)value; break;
		case 'b': c->bulk = (size_t)value; break;
		case 'k': c->in_flight = (int)value; break;
		default: return 0;
		}
	}
	return strcmp(c->test, "udp") != 0 || c->message >= sizeof(uint64_t);
}

int main(int argc, char **argv)
{
	struct config c = {.warm_ns = 300000000u, .window_ns = 1000000000u, .message = 64, .bulk = 128 << 10, .in_flight = 1};
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && strcmp(argv[1], "offload") == 0)
		return offload(argv[2]);
	if (argc < 4)
		return usage();
	c.server = strcmp(argv[1], "server") == 0;
	int at = c.server ? 2 : 3;
	if (argc < at + 2 || (!c.server && strcmp(argv[1], "client") != 0))
		return usage();
	c.addr.sin_family = AF_INET;
	c.addr.sin_addr.s_addr = htonl(INADDR_ANY);
	if (!c.server && inet_pton(AF_INET, argv[2], &c.addr.sin_addr) != 1)
		return usage();
	c.addr.sin_port = htons((uint16_t)atoi(argv[at]));
	c.test = argv[at + 1];
	if (!read_options(&c, argc - at - 1, argv + at + 1))
		return usage();
	alarm((unsigned)((c.warm_ns + c.window_ns) / 1000000000u) + 10);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		if (strcmp(tests[i].name, c.test) == 0) {
			(c.server ? tests[i].server : tests[i].client)(&c);
			return 0;
		}
	}
	return usage();
}
