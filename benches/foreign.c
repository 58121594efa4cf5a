// What the library adds to a call that is not the stack's: read of a file and write to a pipe.
//
//     foreign [BLOCKS]
//
// In one process, block by block in turn, each call is made through the name that the program sees and through libc's own function, so
// both meet the same descriptor, the same memory and the same minutes of the machine. Without the library in front the two are one
// function, and what differs is the noise of the method.
//
// With LD_PRELOAD the calls are made before any internet socket was opened ("before"), and after ("after"); without, only once ("alone").
// A line each: state=… read_ns=… read_own_ns=… read_extra_ns=… and the same for write. Times are nanoseconds a call, the least of all
// blocks; "extra" is the median over the blocks of the difference to the neighbouring block of libc's own.
#define _GNU_SOURCE
#include "ends.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>

// Calls a block: so few that a block is mostly not interrupted, and that a pipe has room for all of its bytes.
enum { CALLS = 400 };

typedef ssize_t call(int fd, void *data, size_t len);

struct figures {
	double least, least_own, extra;
};

static double block(call *what, int fd, ssize_t expected)
{
	char byte = 0;
	uint64_t start = now_ns();
	for (int i = 0; i < CALLS; i++)
		if (what(fd, &byte, 1) != expected)
			die("a call");
	return (double)(now_ns() - start) / CALLS;
}

// `drain`: where what was written is taken out again, -1: nowhere.
static struct figures measure(call *seen, call *own, int fd, ssize_t expected, int drain, int blocks)
{
	static char sink[CALLS * 2];
	double *extra = malloc((size_t)blocks * sizeof *extra);
	if (extra == NULL)
		die("malloc");
	struct figures f = {.least = 1e9, .least_own = 1e9};
	for (int i = -10; i < blocks; i++) { // the first ten only warm up
		// Which of the two goes first alternates: what a block leaves in the caches is a help to both.
		double first = block(i & 1 ? own : seen, fd, expected);
		double second = block(i & 1 ? seen : own, fd, expected);
		if (drain >= 0 && read(drain, sink, sizeof sink) != (ssize_t)sizeof sink)
			die("read of the pipe");
		if (i < 0)
			continue;
		double ours = i & 1 ? second : first, theirs = i & 1 ? first : second;
		extra[i] = ours - theirs;
		f.least = ours < f.least ? ours : f.least;
		f.least_own = theirs < f.least_own ? theirs : f.least_own;
	}
	f.extra = median(extra, (size_t)blocks);
	free(extra);
	return f;
}

static void *symbol(void *where, const char *name)
{
	void *found = dlsym(where, name);
	if (found == NULL) {
		fprintf(stderr, "foreign: no %s\n", name);
		exit(1);
	}
	return found;
}

static call *function(void *where, const char *name)
{
	void *found = symbol(where, name);
	call *f;
	memcpy(&f, &found, sizeof f); // ISO C knows no cast from an object's pointer to a function's
	return f;
}

static void report(const char *state, void *libc, int file, const int pipe_ends[2], int blocks)
{
	struct figures r = measure(function(RTLD_DEFAULT, "read"), function(libc, "read"), file, 0, -1, blocks);
	struct figures w = measure(function(RTLD_DEFAULT, "write"), function(libc, "write"), pipe_ends[1], 1, pipe_ends[0], blocks);
	printf("state=%s read_ns=%.1f read_own_ns=%.1f read_extra_ns=%.1f write_ns=%.1f write_own_ns=%.1f write_extra_ns=%.1f\n", state,
	       r.least, r.least_own, r.extra, w.least, w.least_own, w.extra);
}

int main(int argc, char **argv)
{
	int blocks = argc > 1 ? atoi(argv[1]) : 4000;
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	int file = memfd_create("file", MFD_CLOEXEC); // an empty file: the read finds its end
	int pipe_ends[2];
	if (blocks < 1 || libc == NULL || file < 0 || pipe(pipe_ends) != 0)
		die("foreign");
	int alone = symbol(RTLD_DEFAULT, "read") == symbol(libc, "read");
	report(alone ? "alone" : "before", libc, file, pipe_ends, blocks);
	if (alone)
		return 0;
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0)
		die("socket");
	report("after", libc, file, pipe_ends, blocks);
	close(s);
	return 0;
}
