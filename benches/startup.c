// What a program that opens no internet socket pays for the library at its start.
//
//     startup COUNT LIBRARY COMMAND [ARGUMENT…]
//
// Starts `true` alone and with LD_PRELOAD=LIBRARY, and COMMAND alone, in turn, COUNT times each, and waits for its end. Prints medians in
// microseconds: alone_us=… preload_us=… preload_extra_us=… command_us=…, where "extra" is the median of the differences of neighbours.
#define _GNU_SOURCE
#include "ends.h"

#include <spawn.h>
#include <sys/wait.h>

// From the start to the end of a program, microseconds.
static double run(char *const *words, char *const *environment)
{
	pid_t pid;
	int status;
	uint64_t start = now_ns();
	int failed = posix_spawnp(&pid, words[0], NULL, NULL, words, environment);
	if (failed != 0) {
		errno = failed;
		perror(words[0]);
		exit(1);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "startup: %s failed\n", words[0]);
		exit(1);
	}
	return (double)(now_ns() - start) / 1e3;
}

int main(int argc, char **argv)
{
	size_t count = argc > 3 ? (size_t)atol(argv[1]) : 0;
	double *times = calloc(count * 4 + 1, sizeof *times);
	if (count < 1 || count > 1000000 || times == NULL) {
		fputs("usage: startup COUNT LIBRARY COMMAND [ARGUMENT…]\n", stderr);
		return 2;
	}
	double *alone = times, *preload = times + count, *extra = times + 2 * count, *command = times + 3 * count;
	char variable[4096];
	if (snprintf(variable, sizeof variable, "LD_PRELOAD=%s", argv[2]) >= (int)sizeof variable)
		return 2;
	char *words[] = {"true", NULL}, *with[] = {variable, NULL}, *without[] = {NULL};
	run(words, without);
	run(words, with);
	for (size_t i = 0; i < count; i++) {
		// Who goes first alternates.
		double first = run(words, i & 1 ? with : without);
		double second = run(words, i & 1 ? without : with);
		alone[i] = i & 1 ? second : first;
		preload[i] = i & 1 ? first : second;
		extra[i] = preload[i] - alone[i];
		command[i] = run(argv + 3, environ);
	}
	printf("alone_us=%.1f preload_us=%.1f preload_extra_us=%.1f command_us=%.1f\n", median(alone, count), median(preload, count),
	       median(extra, count), median(command, count));
	free(times);
	return 0;
}
