/* A network device for cases that need one besides the loopback: groups, broadcasts. On tunsock's ways it is the stack's; on
 * the kernel's way a TUN device with the same addresses is made in the case's namespace, whose other end nobody reads. Either
 * way it is interface 2. */
#ifndef C_TESTS_DEVICE_H
#define C_TESTS_DEVICE_H

#include "harness.h"

#include <linux/if.h>
#include <linux/if_tun.h>

#define DEVICE 2
#define LO 1

/* The device exists from here on. */
static inline void need_device(void)
{
    static bool made;
    if (made || getenv("CTEST_STACK4"))
        return;
    made = true;
    struct ifreq request = {.ifr_name = "t0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        skip("no TUN device");
    if (system("ip addr add 10.83.0.2/24 dev t0 && ip -6 addr add fd83::2/64 dev t0 nodad && ip link set t0 up &&"
               " ip route add default dev t0") != 0)
        skip("no ip(8)");
    /* The kernel makes the IPv6 address its own a while after it says that it has it. */
    struct addr own = ipv6("fd83::2", 0);
    int rx = udp(AF_INET6), tx = udp(AF_INET6);
    OK(bind(rx, &own.sa, own.len));
    own = local_of(rx);
    int in_a_row = 0;
    for (long long end = now_ms() + 2 * LONG_MS; in_a_row < 20 && now_ms() < end; sleep_ms(2)) {
        char c;
        sendto(tx, "", 1, 0, &own.sa, own.len);
        in_a_row = recv(rx, &c, 1, MSG_DONTWAIT) == 1 ? in_a_row + 1 : 0;
    }
    OK(close(rx));
    OK(close(tx));
}

/* The device's own address; port in host order. */
static inline struct addr device_addr(int family, int port)
{
    need_device();
    return family == AF_INET ? ipv4("10.83.0.2", port) : ipv6("fd83::2", port);
}

/* A group that needs no leave of anybody. */
static inline struct addr group(int family, int port)
{
    need_device();
    return family == AF_INET ? ipv4("239.1.2.3", port) : ipv6("ff15::123", port);
}

#endif
