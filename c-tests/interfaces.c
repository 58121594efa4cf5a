/* Network interfaces: names and numbers, addresses, the requests of netdevice(7). `lo` is 1, the device 2. */
#include "device.h"

#include <ifaddrs.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

char *if_indextoname(unsigned index, char *name);
unsigned if_nametoindex(const char *name);
struct if_nameindex {
    unsigned if_index;
    char *if_name;
};
struct if_nameindex *if_nameindex(void);
void if_freenameindex(struct if_nameindex *list);

static const char *device_name(void)
{
    static char name[IFNAMSIZ];
    need_device();
    TRUE(if_indextoname(DEVICE, name) == name);
    return name;
}

CASE(names_and_numbers)
{
    char name[IFNAMSIZ];
    EQ(if_nametoindex("lo"), LO);
    EQ(if_nametoindex(device_name()), DEVICE);
    TRUE(if_indextoname(LO, name) == name);
    EQ(strcmp(name, "lo"), 0);
    errno = 0;
    EQ(if_nametoindex("nosuch0"), 0);
    errno = 0;
    if_nametoindex("nosuch0");
    int why = errno;
    EQ(why, ENODEV);
    errno = 0;
    TRUE(if_indextoname(77, name) == NULL);
    why = errno;
    EQ(why, ENXIO);
    errno = 0;
    TRUE(if_indextoname(0, name) == NULL);
}

CASE(list_of_names)
{
    const char *device = device_name();
    struct if_nameindex *list = if_nameindex();
    int count = 0;
    TRUE(list != NULL);
    for (struct if_nameindex *one = list; one->if_index; one++, count++)
        EQ(strcmp(one->if_name, one->if_index == LO ? "lo" : device), 0);
    EQ(count, 2);
    if_freenameindex(list);
}

CASE(addresses)
{
    const char *device = device_name();
    struct ifaddrs *list = NULL;
    int links = 0, lo4 = 0, lo6 = 0, own4 = 0, own6 = 0;
    struct addr want4 = device_addr(AF_INET, 0), want6 = device_addr(AF_INET6, 0);
    OK(getifaddrs(&list));
    for (struct ifaddrs *one = list; one; one = one->ifa_next) {
        bool lo = strcmp(one->ifa_name, "lo") == 0;
        TRUE(lo || strcmp(one->ifa_name, device) == 0);
        TRUE(one->ifa_flags & IFF_UP);
        EQ(!!(one->ifa_flags & IFF_LOOPBACK), lo);
        EQ(!!(one->ifa_flags & IFF_POINTOPOINT), !lo);
        EQ(!!(one->ifa_flags & IFF_MULTICAST), !lo);
        if (!one->ifa_addr) {
            /* A TUN device has no link-layer address. */
            TRUE(!lo && one->ifa_data != NULL);
            links++;
            continue;
        }
        struct addr a = {.len = sizeof(a.v4)};
        switch (one->ifa_addr->sa_family) {
        case AF_PACKET: {
            struct sockaddr_ll link;
            memcpy(&link, one->ifa_addr, sizeof(link));
            EQ(link.sll_ifindex, LO);
            EQ(link.sll_hatype, ARPHRD_LOOPBACK);
            EQ(link.sll_halen, 6);
            TRUE(one->ifa_data != NULL);
            links++;
            break;
        }
        case AF_INET:
            memcpy(&a.v4, one->ifa_addr, sizeof(a.v4));
            if (lo)
                lo4++;
            else
                own4 += same_addr(&a, &want4);
            memcpy(&a.v4, one->ifa_netmask, sizeof(a.v4));
            EQ(ntohl(a.v4.sin_addr.s_addr), lo ? 0xff000000u : 0xffffff00u);
            break;
        case AF_INET6:
            a.len = sizeof(a.v6);
            memcpy(&a.v6, one->ifa_addr, sizeof(a.v6));
            if (lo)
                lo6++;
            else
                own6 += same_addr(&a, &want6); /* the kernel's has a link-local one beside it */
            break;
        }
    }
    EQ(links, 2);
    EQ(lo4, 1);
    EQ(lo6, 1);
    EQ(own4, 1);
    EQ(own6, 1);
    freeifaddrs(list);
    freeifaddrs(NULL);
}

/* Asks about an interface by name. */
static struct ifreq ask(int fd, unsigned long request, const char *name)
{
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    OK(ioctl(fd, request, &r));
    return r;
}

static unsigned in_addr_of(const struct sockaddr *sa)
{
    struct sockaddr_in in;
    memcpy(&in, sa, sizeof(in));
    EQ(in.sin_family, AF_INET);
    return ntohl(in.sin_addr.s_addr);
}

BOTH(requests)
{
    const char *device = device_name();
    int fd = udp(family);
    struct ifreq r = ask(fd, SIOCGIFFLAGS, "lo");
    EQ(r.ifr_flags, IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
    r = ask(fd, SIOCGIFFLAGS, device);
    EQ(r.ifr_flags & ~IFF_RUNNING, IFF_UP | IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST);
    r = ask(fd, SIOCGIFINDEX, device);
    EQ(r.ifr_ifindex, DEVICE);
    r = ask(fd, SIOCGIFMTU, "lo");
    EQ(r.ifr_mtu, 65536);
    r = ask(fd, SIOCGIFMTU, device);
    EQ(r.ifr_mtu, 1500);
    r = ask(fd, SIOCGIFMETRIC, device);
    EQ(r.ifr_metric, 0);
    r = ask(fd, SIOCGIFHWADDR, device);
    EQ(r.ifr_hwaddr.sa_family, ARPHRD_NONE);
    r = ask(fd, SIOCGIFHWADDR, "lo");
    EQ(r.ifr_hwaddr.sa_family, ARPHRD_LOOPBACK);
    r = ask(fd, SIOCGIFTXQLEN, device);
    EQ(r.ifr_qlen, 500);
    memset(&r, 0, sizeof(r));
    r.ifr_ifindex = LO;
    OK(ioctl(fd, SIOCGIFNAME, &r));
    EQ(strcmp(r.ifr_name, "lo"), 0);
    r.ifr_ifindex = 77;
    ERR(ioctl(fd, SIOCGIFNAME, &r), ENODEV);
    strcpy(r.ifr_name, "nosuch0");
    ERR(ioctl(fd, SIOCGIFFLAGS, &r), ENODEV);
    ERR(ioctl(fd, SIOCGIFINDEX, &r), ENODEV);
    ERR(ioctl(fd, SIOCGIFINDEX, bad_pointer), EFAULT);
}

CASE(addresses_by_request)
{
    const char *device = device_name();
    int fd = tcp(AF_INET);
    struct ifreq r = ask(fd, SIOCGIFADDR, "lo");
    EQ(in_addr_of(&r.ifr_addr), INADDR_LOOPBACK);
    r = ask(fd, SIOCGIFADDR, device);
    EQ(in_addr_of(&r.ifr_addr), 0x0a530002);
    r = ask(fd, SIOCGIFNETMASK, device);
    EQ(in_addr_of(&r.ifr_netmask), 0xffffff00);
    r = ask(fd, SIOCGIFDSTADDR, device);
    EQ(in_addr_of(&r.ifr_dstaddr), 0x0a530002);
    r = ask(fd, SIOCGIFBRDADDR, device);
    EQ(in_addr_of(&r.ifr_broadaddr), 0);
    strcpy(r.ifr_name, "nosuch0");
    ERR(ioctl(fd, SIOCGIFADDR, &r), ENODEV);
}

CASE(addresses_by_request_v6)
{
    int fd = udp(AF_INET6);
    struct ifreq r = {.ifr_name = "lo"};
    ERR(ioctl(fd, SIOCGIFADDR, &r), ENOTTY);
    ERR(ioctl(fd, SIOCGIFNETMASK, &r), ENOTTY);
}

/* What an Ethernet device would have to say. */
BOTH(no_ethernet)
{
    int fd = udp(family), flow[64] = {1 /* ETHTOOL_GSET */};
    struct ifreq r = {.ifr_name = "lo"};
    r.ifr_data = (void *)flow;
    ERR(ioctl(fd, SIOCETHTOOL, &r), EOPNOTSUPP);
    strcpy(r.ifr_name, "nosuch0");
    ERR(ioctl(fd, SIOCETHTOOL, &r), ENODEV);
}

BOTH(configuration)
{
    const char *device = device_name();
    struct ifreq room[4];
    struct ifconf c = {.ifc_len = 0};
    int fd = udp(family);
    OK(ioctl(fd, SIOCGIFCONF, &c));
    EQ(c.ifc_len, 2 * sizeof(struct ifreq));
    c.ifc_len = sizeof(room);
    c.ifc_req = room;
    OK(ioctl(fd, SIOCGIFCONF, &c));
    EQ(c.ifc_len, 2 * sizeof(struct ifreq));
    EQ(strcmp(room[0].ifr_name, "lo"), 0);
    EQ(strcmp(room[1].ifr_name, device), 0);
    EQ(in_addr_of(&room[0].ifr_addr), INADDR_LOOPBACK);
    EQ(in_addr_of(&room[1].ifr_addr), 0x0a530002);
    c.ifc_len = sizeof(struct ifreq) + 7;
    OK(ioctl(fd, SIOCGIFCONF, &c));
    EQ(c.ifc_len, sizeof(struct ifreq));
}
