// What a call costs that is not the stack's: read of a file and write to a pipe's end that goes nowhere, many times, while a socket of the
// stack is open. Run it alone and under the library; the difference is the library's.
//
//     foreign [COUNT]
//
// Prints nanoseconds a call, the least of ten rounds.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 200000;
	int fd = open("/dev/null", O_RDWR);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || s < 0 || count < 1) {
		perror("foreign");
		return 1;
	}
	double reading = 1e9, writing = 1e9;
	char byte = 0;
	for (int round = 0; round < 10; round++) {
		double start = seconds();
		for (long i = 0; i < count; i++)
			if (read(fd, &byte, 1) != 0)
				return 1;
		double middle = seconds();
		for (long i = 0; i < count; i++)
			if (write(fd, &byte, 1) != 1)
				return 1;
		double end = seconds();
		reading = middle - start < reading ? middle - start : reading;
		writing = end - middle < writing ? end - middle : writing;
	}
	printf("read_ns=%.1f write_ns=%.1f\n", reading / (double)count * 1e9, writing / (double)count * 1e9);
	close(s);
	return 0;
}
