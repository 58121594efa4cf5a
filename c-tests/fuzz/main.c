/* fuzz compare SEED..SEED STEPS [ONLY]: the transcript of each seed's sequence, on whichever sockets answer.
 * fuzz stress  SEED..SEED STEPS THREADS: the same calls by several threads at once; nothing is compared, but nobody crashes, hangs or loses a descriptor.
 *
 * ONLY is a list of the numbers of steps, with commas between them. Every seed is a process of its own in a network namespace of its own. */
#include "fuzz.h"

#include <dirent.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/ipv6_route.h>
#include <linux/route.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

/* A seed that takes longer hangs. */
#define SECONDS 60

static void need(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
        exit(3);
    }
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        need(write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
        close(fd);
    }
}

static void raise_interface(int fd, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    strcpy(request.ifr_name, name);
    need(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "SIOCSIFFLAGS");
}

static void set_ipv4(int fd, unsigned long what, const char *address)
{
    struct ifreq request = {.ifr_name = "t0"};
    struct sockaddr_in in = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&request.ifr_addr, &in, sizeof in);
    need(ioctl(fd, what, &request) == 0, "an address of the device");
}

/* The kernel makes an IPv6 address its own a while after it says that it has it. */
static void until_it_answers(struct sockaddr_in6 own)
{
    for (int tries = 0, in_a_row = 0; in_a_row < 5; tries++) {
        char c;
        socklen_t len = sizeof own;
        int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        own.sin6_port = 0;
        bool there = bind(fd, (struct sockaddr *)&own, sizeof own) == 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
                     sendto(fd, "", 1, 0, (struct sockaddr *)&own, sizeof own) == 1 && recv(fd, &c, 1, 0) == 1;
        in_a_row = there ? in_a_row + 1 : 0;
        close(fd);
        need(tries < 10000, "the device's IPv6 address");
        if (!there)
            usleep(1000);
    }
}

/* A device with the addresses of the stack's, whose other end nobody reads. */
static void make_device(int fd)
{
    struct ifreq request = {.ifr_name = "t0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC), high;
    need(tun >= 0 && ioctl(tun, TUNSETIFF, &request) == 0, "/dev/net/tun");
    high = fcntl(tun, F_DUPFD_CLOEXEC, 200);
    close(tun);
    need(high >= 0, "a descriptor");
    write_file("/proc/sys/net/ipv6/conf/t0/accept_dad", "0");
    set_ipv4(fd, SIOCSIFADDR, "10.83.0.2");
    set_ipv4(fd, SIOCSIFNETMASK, "255.255.255.0");
    raise_interface(fd, "t0");
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = "t0"};
    route.rt_dst.sa_family = route.rt_genmask.sa_family = route.rt_gateway.sa_family = AF_INET;
    need(ioctl(fd, SIOCADDRT, &route) == 0, "the default route");
    struct sockaddr_in6 own = {.sin6_family = AF_INET6};
    inet_pton(AF_INET6, "fd83::2", &own.sin6_addr);
    struct in6_ifreq six = {.ifr6_addr = own.sin6_addr, .ifr6_prefixlen = 64, .ifr6_ifindex = 2};
    int fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    need(ioctl(fd6, SIOCSIFADDR, &six) == 0, "the device's IPv6 address");
    struct in6_rtmsg default6 = {.rtmsg_metric = 1, .rtmsg_ifindex = 2, .rtmsg_flags = RTF_UP};
    need(ioctl(fd6, SIOCADDRT, &default6) == 0, "the default route of IPv6");
    close(fd6);
    until_it_answers(own);
}

void own_network(bool with_device)
{
    need(unshare(CLONE_NEWNET) == 0, "a network namespace");
    if (!with_device)
        return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    raise_interface(fd, "lo");
    make_device(fd);
    close(fd);
}

int count_descriptors(int *eventfds)
{
    int count = 0;
    struct dirent *entry;
    DIR *all = opendir("/proc/self/fd");
    need(all != NULL, "/proc/self/fd");
    *eventfds = 0;
    while ((entry = readdir(all))) {
        char what[256] = "";
        if (readlinkat(dirfd(all), entry->d_name, what, sizeof what - 1) <= 0)
            continue;
        bool is_eventfd = strcmp(what, "anon_inode:[eventfd]") == 0;
        *eventfds += is_eventfd;
        count += !is_eventfd;
    }
    closedir(all);
    return count;
}

static void on_broken_pipe(int signo)
{
    (void)signo;
    broken_pipes++;
}

static bool wanted(const char *only, unsigned step)
{
    if (!only)
        return true;
    for (const char *at = only; *at; at += strcspn(at, ","), at += *at == ',')
        if (strtoul(at, NULL, 10) == step)
            return true;
    return false;
}

static int compare(uint64_t seed, unsigned steps, const char *only)
{
    struct sigaction action = {.sa_handler = on_broken_pipe};
    sigaction(SIGPIPE, &action, NULL);
    for (int i = 0; i < SLOTS; i++)
        slots[i] = (struct slot){-1, NOTHING};
    /* What the library or the test has once is there before the count. */
    close(socket(AF_INET, SOCK_DGRAM, 0));
    int eventfds, eventfds_before, before = count_descriptors(&eventfds_before);
    for (unsigned step = 0; step < steps; step++) {
        if (!wanted(only, step))
            continue;
        printf("  %u\n", step);
        begin_step(seed, step);
        random_step();
    }
    begin_step(seed, steps);
    printf("  end\n");
    last_look();
    int lost = count_descriptors(&eventfds) - before;
    printf("    descriptors lost: %d %d\n", lost, eventfds - eventfds_before);
    return 0;
}

static int in_a_child(int (*act)(uint64_t, unsigned, const char *), uint64_t seed, unsigned steps, const char *argument)
{
    fflush(stdout);
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        alarm(SECONDS);
        own_network(getenv("CTEST_TUNSOCK") == NULL);
        int status = act(seed, steps, argument);
        fflush(stdout);
        exit(status);
    }
    int status;
    need(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFSIGNALED(status))
        printf("    ENDED BY SIGNAL %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": hangs" : "");
    else if (WEXITSTATUS(status))
        printf("    EXIT STATUS %d\n", WEXITSTATUS(status));
    return status;
}

static int stress_seed(uint64_t seed, unsigned steps, const char *threads)
{
    return stress(seed, atoi(threads ? threads : "4"), steps);
}

int main(int argc, char **argv)
{
    unsigned long long first, last;
    if (argc < 4 || sscanf(argv[2], "%llu..%llu", &first, &last) != 2) {
        fprintf(stderr, "fuzz compare SEED..SEED STEPS [ONLY]\nfuzz stress SEED..SEED STEPS THREADS\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool stressing = strcmp(argv[1], "stress") == 0;
    int failed = 0;
    for (uint64_t seed = first; seed < last; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        failed |= in_a_child(stressing ? stress_seed : compare, seed, (unsigned)atoi(argv[3]), argc > 4 ? argv[4] : NULL) != 0;
    }
    return failed;
}
