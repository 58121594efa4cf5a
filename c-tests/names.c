/* Names and addresses without DNS: numbers, localhost, /etc/hosts. */
#include "harness.h"

static struct addrinfo *resolve(const char *node, const char *service, int flags, int family, int type)
{
    struct addrinfo hints, *list = NULL;
    memset(&hints, 0, sizeof(hints));
    hints.ai_flags = flags;
    hints.ai_family = family;
    hints.ai_socktype = type;
    EQ(getaddrinfo(node, service, &hints, &list), 0);
    TRUE(list != NULL);
    return list;
}

static int failure(const char *node, const char *service, int flags, int family, int type)
{
    struct addrinfo hints, *list = NULL;
    memset(&hints, 0, sizeof(hints));
    hints.ai_flags = flags;
    hints.ai_family = family;
    hints.ai_socktype = type;
    return getaddrinfo(node, service, &hints, &list);
}

CASE(numeric_v4)
{
    struct addrinfo *a = resolve("10.1.2.3", "8080", 0, AF_UNSPEC, SOCK_STREAM);
    struct sockaddr_in *in = (struct sockaddr_in *)a->ai_addr;
    EQ(a->ai_family, AF_INET);
    EQ(a->ai_socktype, SOCK_STREAM);
    EQ(a->ai_protocol, IPPROTO_TCP);
    EQ(a->ai_addrlen, sizeof(*in));
    EQ(in->sin_family, AF_INET);
    EQ(ntohs(in->sin_port), 8080);
    EQ(ntohl(in->sin_addr.s_addr), 0x0a010203);
    TRUE(a->ai_next == NULL && a->ai_canonname == NULL);
    freeaddrinfo(a);
}

CASE(numeric_v6)
{
    struct addrinfo *a = resolve("2001:db8::5", "1", 0, AF_UNSPEC, SOCK_DGRAM);
    struct addr want = ipv6("2001:db8::5", 1);
    EQ(a->ai_family, AF_INET6);
    EQ(a->ai_protocol, IPPROTO_UDP);
    EQ(a->ai_addrlen, sizeof(struct sockaddr_in6));
    EQ(memcmp(a->ai_addr, &want.v6, sizeof(want.v6)), 0);
    freeaddrinfo(a);
}

CASE(every_type_without_a_hint)
{
    struct addrinfo *a = resolve("127.0.0.1", "7", 0, AF_UNSPEC, 0);
    bool stream = false, datagram = false;
    for (struct addrinfo *i = a; i; i = i->ai_next) {
        stream |= i->ai_socktype == SOCK_STREAM && i->ai_protocol == IPPROTO_TCP;
        datagram |= i->ai_socktype == SOCK_DGRAM && i->ai_protocol == IPPROTO_UDP;
    }
    TRUE(stream && datagram);
    freeaddrinfo(a);
}

CASE(no_hints_at_all)
{
    struct addrinfo *a = NULL;
    EQ(getaddrinfo("127.0.0.1", NULL, NULL, &a), 0);
    EQ(a->ai_family, AF_INET);
    freeaddrinfo(a);
}

CASE(old_number_forms)
{
    struct addrinfo *a = resolve("127.1", NULL, 0, AF_INET, SOCK_STREAM);
    EQ(ntohl(((struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr), 0x7f000001);
    freeaddrinfo(a);
}

CASE(family_that_does_not_fit)
{
    EQ(failure("::1", "1", AI_NUMERICHOST, AF_INET, SOCK_STREAM), EAI_ADDRFAMILY);
    EQ(failure("127.0.0.1", "1", AI_NUMERICHOST, AF_INET6, SOCK_STREAM), EAI_ADDRFAMILY);
}

CASE(mapped_on_request)
{
    struct addrinfo *a = resolve("10.1.2.3", "1", AI_V4MAPPED, AF_INET6, SOCK_STREAM);
    struct addr want = ipv6("::ffff:10.1.2.3", 1);
    EQ(a->ai_family, AF_INET6);
    EQ(memcmp(a->ai_addr, &want.v6, sizeof(want.v6)), 0);
    freeaddrinfo(a);
}

CASE(passive_without_a_node)
{
    struct addrinfo *a = resolve(NULL, "5000", AI_PASSIVE, AF_INET, SOCK_STREAM);
    EQ(((struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr, htonl(INADDR_ANY));
    EQ(ntohs(((struct sockaddr_in *)a->ai_addr)->sin_port), 5000);
    freeaddrinfo(a);
    a = resolve(NULL, "5000", AI_PASSIVE, AF_INET6, SOCK_STREAM);
    struct addr any = ipv6("::", 5000);
    EQ(memcmp(a->ai_addr, &any.v6, sizeof(any.v6)), 0);
    freeaddrinfo(a);
}

CASE(loopback_without_a_node)
{
    struct addrinfo *a = resolve(NULL, "5000", 0, AF_INET, SOCK_STREAM);
    EQ(((struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    freeaddrinfo(a);
}

CASE(both_missing) { EQ(failure(NULL, NULL, 0, AF_UNSPEC, 0), EAI_NONAME); }

CASE(bad_flags) { EQ(failure("127.0.0.1", "1", 0x40000000, AF_INET, 0), EAI_BADFLAGS); }

CASE(canonname_needs_a_node) { EQ(failure(NULL, "1", AI_CANONNAME, AF_INET, 0), EAI_BADFLAGS); }

CASE(bad_family) { EQ(failure("127.0.0.1", "1", 0, 99, 0), EAI_FAMILY); }

CASE(bad_type) { EQ(failure("127.0.0.1", "1", 0, AF_INET, 99), EAI_SOCKTYPE); }

CASE(numeric_host_only) { EQ(failure("localhost", "1", AI_NUMERICHOST, AF_INET, SOCK_STREAM), EAI_NONAME); }

CASE(numeric_service_only)
{
    EQ(failure("127.0.0.1", "http", AI_NUMERICSERV, AF_INET, SOCK_STREAM), EAI_NONAME);
}

CASE(unknown_service)
{
    EQ(failure("127.0.0.1", "no-such-service", 0, AF_INET, SOCK_STREAM), EAI_SERVICE);
}

CASE(canonical_name_of_a_number)
{
    struct addrinfo *a = resolve("127.0.0.1", NULL, AI_CANONNAME, AF_INET, SOCK_STREAM);
    TRUE(a->ai_canonname != NULL);
    EQ(strcmp(a->ai_canonname, "127.0.0.1"), 0);
    freeaddrinfo(a);
}

CASE(localhost_v4)
{
    struct addrinfo *a = resolve("localhost", "1", 0, AF_INET, SOCK_STREAM);
    EQ(ntohl(((struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr), INADDR_LOOPBACK);
    freeaddrinfo(a);
}

/* On the kernel's way the answer is that of the machine's /etc/hosts. */
static void needs_v6_localhost(void)
{
    char line[512];
    FILE *f = fopen("/etc/hosts", "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "::1", 3) == 0 && strstr(line, "localhost"))
            return;
    if (!getenv("CTEST_TUNSOCK"))
        skip("/etc/hosts has no ::1 localhost");
}

CASE(localhost_v6)
{
    needs_v6_localhost();
    struct addrinfo *a = resolve("localhost", "1", 0, AF_INET6, SOCK_STREAM);
    struct addr want = ipv6("::1", 1);
    EQ(memcmp(a->ai_addr, &want.v6, sizeof(want.v6)), 0);
    freeaddrinfo(a);
}

CASE(localhost_reaches_a_listener)
{
    struct addr at;
    char port[16];
    listener(AF_INET, 1, &at);
    snprintf(port, sizeof(port), "%d", port_of(&at));
    struct addrinfo *a = resolve("localhost", port, 0, AF_INET, SOCK_STREAM);
    OK(connect((int)OK(socket(a->ai_family, a->ai_socktype, a->ai_protocol)), a->ai_addr, a->ai_addrlen));
    freeaddrinfo(a);
}

CASE(names_are_not_case_sensitive)
{
    struct addrinfo *a = resolve("LOCALHOST", "1", 0, AF_INET, SOCK_STREAM);
    EQ(ntohl(((struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr), INADDR_LOOPBACK);
    freeaddrinfo(a);
}

CASE(port_range)
{
    struct addrinfo *a = resolve("127.0.0.1", "65535", 0, AF_INET, SOCK_STREAM);
    EQ(ntohs(((struct sockaddr_in *)a->ai_addr)->sin_port), 65535);
    freeaddrinfo(a);
}

CASE(gethostbyname_number)
{
    struct hostent *h = gethostbyname("10.9.8.7");
    TRUE(h != NULL);
    EQ(h->h_addrtype, AF_INET);
    EQ(h->h_length, 4);
    EQ(strcmp(h->h_name, "10.9.8.7"), 0);
    EQ(ntohl(*(uint32_t *)(void *)h->h_addr_list[0]), 0x0a090807);
    TRUE(h->h_addr_list[1] == NULL);
}

CASE(gethostbyname_localhost)
{
    struct hostent *h = gethostbyname("localhost");
    TRUE(h != NULL);
    EQ(h->h_addrtype, AF_INET);
    EQ(ntohl(*(uint32_t *)(void *)h->h_addr_list[0]), INADDR_LOOPBACK);
}

CASE(gethostbyname2_v6)
{
    needs_v6_localhost();
    struct hostent *h = gethostbyname2("localhost", AF_INET6);
    TRUE(h != NULL);
    EQ(h->h_addrtype, AF_INET6);
    EQ(h->h_length, 16);
    EQ(memcmp(h->h_addr_list[0], &in6addr_loopback, 16), 0);
}

CASE(gethostbyaddr_loopback)
{
    struct in_addr a = {htonl(INADDR_LOOPBACK)};
    struct hostent *h = gethostbyaddr(&a, sizeof(a), AF_INET);
    TRUE(h != NULL);
    EQ(strcmp(h->h_name, "localhost"), 0);
}

CASE(gethostbyname_r_buffer_too_small)
{
    struct hostent h, *result = NULL;
    char buffer[4];
    int e = 0;
    EQ(gethostbyname_r("10.9.8.7", &h, buffer, sizeof(buffer), &result, &e), ERANGE);
    TRUE(result == NULL);
}

CASE(gethostbyname_r_number)
{
    struct hostent h, *result = NULL;
    char buffer[1024];
    int e = 0;
    EQ(gethostbyname_r("10.9.8.7", &h, buffer, sizeof(buffer), &result, &e), 0);
    TRUE(result == &h);
    EQ(ntohl(*(uint32_t *)(void *)h.h_addr_list[0]), 0x0a090807);
}

CASE(getnameinfo_numbers)
{
    struct addr a = ipv4("10.1.2.3", 8080);
    char host[64], service[16];
    EQ(getnameinfo(&a.sa, a.len, host, sizeof(host), service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV), 0);
    EQ(strcmp(host, "10.1.2.3"), 0);
    EQ(strcmp(service, "8080"), 0);
    a = ipv6("2001:db8::1", 443);
    EQ(getnameinfo(&a.sa, a.len, host, sizeof(host), service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV), 0);
    EQ(strcmp(host, "2001:db8::1"), 0);
    EQ(strcmp(service, "443"), 0);
}

CASE(getnameinfo_errors)
{
    struct addr a = ipv4("10.1.2.3", 8080);
    char host[64];
    EQ(getnameinfo(&a.sa, 4, host, sizeof(host), NULL, 0, NI_NUMERICHOST), EAI_FAMILY);
    EQ(getnameinfo(&a.sa, a.len, host, 3, NULL, 0, NI_NUMERICHOST), EAI_OVERFLOW);
    a.sa.sa_family = 99;
    EQ(getnameinfo(&a.sa, a.len, host, sizeof(host), NULL, 0, NI_NUMERICHOST), EAI_FAMILY);
}

CASE(gai_strerror_speaks) { TRUE(strlen(gai_strerror(EAI_NONAME)) > 3); }
