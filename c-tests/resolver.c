/* Names that DNS is asked for. libc's own resolver, with a server and files of the case's own, is the oracle. */
#include <resolv.h>

#include "zone.h"

CASE(address_of_one_family)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    EQ(dns_asked(s), 1);
    EQ(dns_count(s, "1 four.test"), 1);
    SAYS(ask("six.test", AF_INET6, 0), "::1");
    EQ(dns_asked(s), 2);
    EQ(dns_count(s, "28 six.test"), 1);
}

CASE(both_families_at_once)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    EQ(dns_asked(s), 2);
    EQ(dns_count(s, "1 both.test"), 1);
    EQ(dns_count(s, "28 both.test"), 1);
}

CASE(one_family_has_no_data)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("four.test", AF_UNSPEC, 0), "127.0.0.41");
    SAYS(ask("six.test", AF_UNSPEC, 0), "::1");
    SAYS(ask("four.test", AF_INET6, 0), "NODATA");
    SAYS(ask("six.test", AF_INET, 0), "NODATA");
}

CASE(no_such_name)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("missing.test", AF_UNSPEC, 0), "NONAME");
    SAYS(ask("missing.test", AF_INET, 0), "NONAME");
    SAYS(ask("missing.test", AF_INET6, AI_V4MAPPED), "NONAME");
}

CASE(name_without_addresses)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("empty.test", AF_UNSPEC, 0), "NODATA");
    SAYS(ask("empty.test", AF_INET, 0), "NODATA");
}

CASE(chain_of_names)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("alias.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    SAYS(ask("alias.test", AF_UNSPEC, AI_CANONNAME), "both.test: ::1 127.0.0.42");
    SAYS(ask("four.test", AF_INET, AI_CANONNAME), "four.test: 127.0.0.41");
}

CASE(canonical_name_of_one_family)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("alias.test", AF_INET, AI_CANONNAME), "both.test: 127.0.0.42");
}

CASE(chain_that_ends_in_nothing)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("to-nothing.test", AF_INET, 0), "NODATA");
}

CASE(chain_without_end_is_no_answer)
{
    resolve_by(ONE);
    dns_start(1, answer);
    const char *got = ask("circle.test", AF_INET, 0);
    TRUE(got[0] >= 'A');
}

CASE(name_that_no_host_has_is_dropped)
{
    resolve_by(ONE);
    dns_start(1, answer);
    const char *got = ask("odd.test", AF_INET, AI_CANONNAME);
    TRUE(strchr(got, '$') == NULL);
}

CASE(underscores_are_fine)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("under_score.test", AF_INET, 0), "127.0.0.44");
}

CASE(letter_case_is_kept_and_does_not_matter)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("FOUR.Test", AF_INET, 0), "127.0.0.41");
}

CASE(dot_at_the_end)
{
    resolve_by(ONE "search first.search\n");
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("four.test.", AF_INET, 0), "127.0.0.41");
    SAYS(ask("host.", AF_INET, 0), "NONAME");
    EQ(dns_asked(s), 2);
}

CASE(hosts_file_comes_first)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("known.test", AF_INET, 0), "127.0.0.77");
    SAYS(ask("known", AF_UNSPEC, AI_CANONNAME), "known.test: 127.0.0.77");
    SAYS(ask("alias-of-known", AF_INET, 0), "127.0.0.77");
    EQ(dns_asked(s), 0);
    /* The file has it in the other family: DNS is asked for this one. */
    SAYS(ask("known.test", AF_INET6, 0), "NONAME");
    EQ(dns_asked(s), 1);
}

CASE(numbers_are_not_asked_for)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("192.0.2.1", AF_UNSPEC, 0), "192.0.2.1");
    SAYS(ask("2001:db8::1", AF_UNSPEC, 0), "2001:db8::1");
    SAYS(ask("four.test", AF_INET, AI_NUMERICHOST), "NONAME");
    SAYS(ask("localhost", AF_UNSPEC, 0), "::1 127.0.0.1");
    EQ(dns_asked(s), 0);
}

CASE(mapped_addresses)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("four.test", AF_INET6, AI_V4MAPPED), "::ffff:127.0.0.41");
    SAYS(ask("both.test", AF_INET6, AI_V4MAPPED), "::1");
    SAYS(ask("both.test", AF_INET6, AI_V4MAPPED | AI_ALL), "::1 ::ffff:127.0.0.42");
    SAYS(ask("both.test", AF_INET6, 0), "::1");
}

/* The kernel's way gets the addresses and routes that the stack has. */
static void addresses_and_routes(void)
{
    if (!getenv("CTEST_TUNSOCK")
        && system("ip link add veth0 type veth peer name veth1 && ip link set veth0 up && ip link set veth1 up &&"
                  " ip addr add 10.83.0.2/24 dev veth0 && ip addr add fd83::2/64 dev veth0 nodad &&"
                  " ip route add default via 10.83.0.1 && ip -6 route add default via fd83::1") != 0)
        skip("no veth devices to be had");
}

CASE(order_of_addresses)
{
    resolve_by(ONE);
    addresses_and_routes();
    dns_start(1, answer);
    SAYS(ask("many.test", AF_INET, 0), "127.0.0.2 127.0.0.3 127.0.0.9 127.0.1.1");
}

CASE(order_of_addresses_over_routes)
{
    resolve_by(ONE);
    addresses_and_routes();
    dns_start(1, answer);
    SAYS(ask("sorted.test", AF_INET, 0), "10.83.0.3 10.83.0.200 198.51.100.1");
    SAYS(ask("sorted.test", AF_INET6, 0), "fd83::3 fd83::ff00 2001:db8::1");
    SAYS(ask("sorted.test", AF_UNSPEC, 0), "fd83::3 fd83::ff00 10.83.0.3 10.83.0.200 198.51.100.1 2001:db8::1");
}

/* --- the search list ------------------------------------------------------------------------------------------------------ */

CASE(search_list)
{
    resolve_by(SEARCH);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("host", AF_INET, 0), "127.0.0.51");
    EQ(dns_asked(s), 1);
    SAYS(ask("other", AF_INET, AI_CANONNAME), "other.second.search: 127.0.0.53");
    TRUE(dns_count(s, "1 other.first.search") == 1);
    SAYS(ask("single", AF_INET, 0), "127.0.0.56");
    EQ(dns_count(s, "1 single.first.search"), 1);
    EQ(dns_count(s, "1 single.second.search"), 1);
    EQ(dns_count(s, "1 single"), 1);
}

CASE(search_list_with_dots)
{
    resolve_by(SEARCH);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("a.b", AF_INET, 0), "127.0.0.54");
    EQ(dns_asked(s), 1);
    SAYS(ask("x.y", AF_INET, 0), "NONAME");
    EQ(dns_asked(s), 4);
    SAYS(strchr(s->log[1], ' '), " x.y");
    SAYS(strchr(s->log[2], ' '), " x.y.first.search");
    SAYS(strchr(s->log[3], ' '), " x.y.second.search");
}

CASE(ndots)
{
    resolve_by(SEARCH "options ndots:2\n");
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("a.b", AF_INET, 0), "127.0.0.55");
    EQ(dns_asked(s), 1);
}

CASE(domain_is_a_search_list_of_one)
{
    resolve_by(ONE "search first.search\ndomain second.search\n");
    dns_start(1, answer);
    SAYS(ask("host", AF_INET, 0), "127.0.0.52");
}

CASE(no_data_on_the_way_through_the_list)
{
    resolve_by(SEARCH);
    dns_start(1, answer);
    SAYS(ask("host", AF_INET6, 0), "NODATA");
}

CASE(localdomain_in_the_environment)
{
    setenv("LOCALDOMAIN", "second.search", 1);
    setenv("RES_OPTIONS", "ndots:3", 1);
    resolve_by(SEARCH);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("host", AF_INET, 0), "127.0.0.52");
    SAYS(ask("a.b", AF_INET, 0), "127.0.0.54");
    EQ(dns_count(s, "1 a.b.second.search"), 1);
}

CASE(aliases_of_the_user)
{
    char file[] = "/tmp/ctest-alias-XXXXXX";
    int fd = (int)OK(mkstemp(file));
    OK(dprintf(fd, "other  both.test\nShort\tfour.test rest\nbad\n"));
    setenv("HOSTALIASES", file, 1);
    resolve_by(SEARCH);
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("short", AF_INET, AI_CANONNAME), "four.test: 127.0.0.41");
    EQ(dns_asked(s), 1);
    SAYS(ask("host", AF_INET, 0), "127.0.0.51");
    SAYS(ask("short.", AF_INET, 0), "NONAME");
    unlink(file);
}

CASE(families_that_the_host_has)
{
    resolve_by(ONE);
    addresses_and_routes();
    dns_start(1, answer);
    SAYS(ask("both.test", AF_UNSPEC, AI_ADDRCONFIG), "::1 127.0.0.42");
    SAYS(ask("six.test", AF_INET6, AI_ADDRCONFIG), "::1");
    SAYS(ask("::1", AF_INET6, AI_ADDRCONFIG), "::1");
}

/* --- the other calls ------------------------------------------------------------------------------------------------------ */

CASE(gethostbyname_by_dns)
{
    resolve_by(ONE);
    dns_start(1, answer);
    struct hostent *h = gethostbyname("alias.test");
    TRUE(h != NULL);
    SAYS(h->h_name, "both.test");
    TRUE(h->h_aliases[0] && h->h_aliases[1] && !h->h_aliases[2]);
    SAYS(h->h_aliases[0], "alias.test");
    SAYS(h->h_aliases[1], "middle.test");
    EQ(h->h_addrtype, AF_INET);
    EQ(ntohl(*(uint32_t *)(void *)h->h_addr_list[0]), 0x7f00002a);
    TRUE(h->h_addr_list[1] == NULL);
    h = gethostbyname2("six.test", AF_INET6);
    TRUE(h != NULL);
    EQ(h->h_length, 16);
    EQ(memcmp(h->h_addr_list[0], &in6addr_loopback, 16), 0);
}

CASE(gethostbyname_failures)
{
    resolve_by(ONE);
    dns_start(1, answer);
    TRUE(gethostbyname("missing.test") == NULL);
    EQ(h_errno, HOST_NOT_FOUND);
    TRUE(gethostbyname("empty.test") == NULL);
    EQ(h_errno, NO_DATA);
    TRUE(gethostbyname2("four.test", AF_INET6) == NULL);
    EQ(h_errno, NO_DATA);
}

CASE(gethostbyname_r_failures)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    struct hostent h, *result = &h;
    char room[1024];
    int why = -5;
    EQ(gethostbyname_r("missing.test", &h, room, sizeof(room), &result, &why), 0);
    TRUE(result == NULL);
    EQ(why, HOST_NOT_FOUND);
    EQ(gethostbyname_r("four.test", &h, room, sizeof(room), &result, &why), 0);
    TRUE(result == &h);
    SAYS(h.h_name, "four.test");
    EQ(gethostbyname_r("four.test", &h, room, 8, &result, &why), ERANGE);
    EQ(why, NETDB_INTERNAL);
    s->answer = servfail;
    EQ(gethostbyname_r("four.test", &h, room, sizeof(room), &result, &why), EAGAIN);
    EQ(why, TRY_AGAIN);
    TRUE(result == NULL);
}

CASE(gethostbyname_r_without_a_server)
{
    resolve_by(ONE);
    struct hostent h, *result = &h;
    char room[1024];
    int why = -5;
    EQ(gethostbyname_r("four.test", &h, room, sizeof(room), &result, &why), EAGAIN);
    EQ(why, TRY_AGAIN);
}

static const char *name_of(const char *ip, int flags)
{
    static char host[300];
    struct addr a = strchr(ip, ':') ? ipv6(ip, 80) : ipv4(ip, 80);
    int why = getnameinfo(&a.sa, a.len, host, sizeof(host), NULL, 0, flags);
    switch (why) {
    case 0: return host;
    case EAI_NONAME: return "NONAME";
    case EAI_AGAIN: return "AGAIN";
    case EAI_FAIL: return "FAIL";
    default: snprintf(host, sizeof(host), "%d", why); return host;
    }
}

CASE(name_of_an_address)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    SAYS(name_of("127.0.0.41", 0), "four.test");
    SAYS(name_of("2001:db8::1", 0), "six.test");
    SAYS(name_of("127.0.0.42", 0), "both.test");
    SAYS(name_of("127.0.0.77", 0), "known.test");
    SAYS(name_of("127.0.0.1", 0), "localhost");
    EQ(dns_asked(s), 3);
    SAYS(name_of("127.0.0.41", NI_NUMERICHOST), "127.0.0.41");
    EQ(dns_asked(s), 3);
}

CASE(address_without_a_name)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(name_of("192.0.2.9", 0), "192.0.2.9");
    SAYS(name_of("192.0.2.9", NI_NAMEREQD), "NONAME");
    SAYS(name_of("127.0.0.44", 0), "127.0.0.44");
    SAYS(name_of("127.0.0.44", NI_NAMEREQD), "NONAME");
    SAYS(name_of("127.0.0.41", NI_NAMEREQD | NI_NUMERICHOST), "NONAME");
    TRUE(strchr(name_of("127.0.0.43", 0), '$') == NULL);
}

CASE(name_of_an_address_when_nobody_answers)
{
    resolve_by(ONE);
    SAYS(name_of("127.0.0.41", 0), "AGAIN");
    SAYS(name_of("127.0.0.41", NI_NAMEREQD), "AGAIN");
    SAYS(name_of("127.0.0.41", NI_NUMERICHOST), "127.0.0.41");
}

static void be_called(const char *name)
{
    if (unshare(CLONE_NEWUTS) != 0 || sethostname(name, strlen(name)) != 0)
        skip("no host name of one's own to be had");
}

CASE(name_without_the_own_domain)
{
    be_called("box.first.search");
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(name_of("127.0.0.45", 0), "here.first.search");
    SAYS(name_of("127.0.0.45", NI_NOFQDN), "here");
    SAYS(name_of("127.0.0.41", NI_NOFQDN), "four.test");
    /* The domain behind its own name is searched when resolv.conf names none. */
    SAYS(ask("host", AF_INET, 0), "127.0.0.51");
}

CASE(number_of_the_host)
{
    if (access("/etc/hostid", R_OK) == 0)
        skip("/etc/hostid is there");
    be_called("four.test");
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    EQ(gethostid(), 0x007f2900);
    TRUE(dns_asked(s) >= 1);
}

CASE(gethostbyaddr_by_dns)
{
    resolve_by(ONE);
    dns_start(1, answer);
    struct addr a = ipv4("127.0.0.41", 0);
    struct hostent *h = gethostbyaddr(&a.v4.sin_addr, 4, AF_INET);
    TRUE(h != NULL);
    SAYS(h->h_name, "four.test");
    TRUE(h->h_aliases[0] == NULL);
    EQ(memcmp(h->h_addr_list[0], &a.v4.sin_addr, 4), 0);
    a = ipv4("192.0.2.9", 0);
    TRUE(gethostbyaddr(&a.v4.sin_addr, 4, AF_INET) == NULL);
    EQ(h_errno, HOST_NOT_FOUND);
}

/* --- resolv.h ------------------------------------------------------------------------------------------------------------- */

CASE(res_query_gives_the_answer_itself)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    unsigned char m[1024];
    int n = (int)OK(res_query("four.test", C_IN, T_A, m, sizeof(m)));
    EQ(n, 12 + 15 + 25);
    EQ(m[2] & 0x80, 0x80);
    EQ(m[7], 1);
    EQ(memcmp(m + n - 4, "\x7f\0\0\x29", 4), 0);
    SAYS(strchr(s->log[0], ' '), " four.test");
}

CASE(res_query_failures)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    unsigned char m[1024] = {0};
    EQ(res_query("missing.test", C_IN, T_A, m, sizeof(m)), -1);
    EQ(h_errno, HOST_NOT_FOUND);
    EQ(m[3] & 15, NXDOMAIN);
    EQ(res_query("four.test", C_IN, T_AAAA, m, sizeof(m)), -1);
    EQ(h_errno, NO_DATA);
    EQ(res_query("a..b", C_IN, T_A, m, sizeof(m)), -1);
    EQ(h_errno, NO_RECOVERY);
    s->answer = servfail;
    ERR(res_query("four.test", C_IN, T_A, m, sizeof(m)), ETIMEDOUT);
    EQ(h_errno, TRY_AGAIN);
}

CASE(res_query_without_a_server)
{
    resolve_by(ONE);
    unsigned char m[1024];
    ERR(res_query("four.test", C_IN, T_A, m, sizeof(m)), ECONNREFUSED);
    EQ(h_errno, TRY_AGAIN);
}

CASE(res_search_and_res_querydomain)
{
    resolve_by(SEARCH);
    struct dns_server *s = dns_start(1, answer);
    unsigned char m[1024];
    OK(res_search("other", C_IN, T_A, m, sizeof(m)));
    SAYS(strchr(s->log[1], ' '), " other.second.search");
    OK(res_querydomain("host", "first.search", C_IN, T_A, m, sizeof(m)));
    SAYS(strchr(s->log[2], ' '), " host.first.search");
    OK(res_search("alias.test", C_IN, T_CNAME, m, sizeof(m)));
    EQ(dns_count(s, "5 alias.test"), 1);
}

CASE(res_send_takes_a_message_of_ones_own)
{
    resolve_by(ONE);
    dns_start(1, answer);
    unsigned char q[512], m[1024];
    int n = (int)OK(res_mkquery(QUERY, "four.test", C_IN, T_A, NULL, 0, NULL, q, sizeof(q)));
    EQ(res_send(q, n, m, sizeof(m)), 12 + 15 + 25);
    EQ(memcmp(q, m, 2), 0);
}

CASE(res_nquery_with_servers_of_ones_own)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer), *other = dns_start(5, answer);
    struct __res_state state;
    unsigned char m[1024];
    memset(&state, 0, sizeof(state));
    OK(res_ninit(&state));
    OK(res_nquery(&state, "four.test", C_IN, T_A, m, sizeof(m)));
    EQ(dns_asked(s), 1);
    state.nsaddr_list[0] = other->at.v4;
    OK(res_nquery(&state, "four.test", C_IN, T_A, m, sizeof(m)));
    EQ(dns_asked(s), 1);
    EQ(dns_asked(other), 1);
    EQ(res_nquery(&state, "missing.test", C_IN, T_A, m, sizeof(m)), -1);
    EQ(state.res_h_errno, HOST_NOT_FOUND);
    res_nclose(&state);
}

/* --- getaddrinfo_a -------------------------------------------------------------------------------------------------------- */

static struct addrinfo only_v4 = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};

CASE(getaddrinfo_a_that_waits)
{
    resolve_by(ONE);
    dns_start(1, answer);
    struct gaicb known = {.ar_name = "four.test", .ar_request = &only_v4};
    struct gaicb missing = {.ar_name = "missing.test", .ar_request = &only_v4};
    struct gaicb *list[] = {&known, NULL, &missing};
    EQ(getaddrinfo_a(GAI_WAIT, list, 3, NULL), 0);
    EQ(gai_error(&known), 0);
    EQ(gai_error(&missing), EAI_NONAME);
    TRUE(known.ar_result != NULL && known.ar_result->ai_family == AF_INET);
    freeaddrinfo(known.ar_result);
    EQ(gai_cancel(&known), EAI_ALLDONE);
    EQ(gai_suspend((const struct gaicb *const *)list, 3, NULL), EAI_ALLDONE);
    EQ(getaddrinfo_a(7, list, 3, NULL), EAI_SYSTEM);
}

CASE(getaddrinfo_a_that_does_not_wait)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, NULL)); /* in the server's threads too */
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, answer);
    struct gaicb all[40], *list[40];
    struct sigevent told = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct timespec limit = {.tv_sec = 5};
    told.sigev_value.sival_int = 77;
    memset(all, 0, sizeof(all));
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i].ar_name = "four.test";
        all[i].ar_request = &only_v4;
        list[i] = &all[i];
    }
    EQ(getaddrinfo_a(GAI_NOWAIT, list, ARRAY_LEN(list), &told), 0);
    siginfo_t info;
    EQ(sigtimedwait(&set, &info, &limit), SIGUSR1);
    EQ(info.si_value.sival_int, 77);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        EQ(gai_error(&all[i]), 0);
        freeaddrinfo(all[i].ar_result);
    }
    EQ(dns_asked(s), 40);
}

static bool slow(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r, bool stream)
{
    sleep_ms(300);
    return answer(s, query, q, r, stream);
}

CASE(gai_suspend_waits_for_one)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, slow);
    struct gaicb one = {.ar_name = "four.test", .ar_request = &only_v4};
    struct gaicb *list[] = {&one};
    const struct gaicb *const *waited = (const struct gaicb *const *)list;
    struct timespec soon = {.tv_nsec = 50000000};
    EQ(getaddrinfo_a(GAI_NOWAIT, list, 1, NULL), 0);
    /* EAI_AGAIN by its manual; libc 2.36 says EAI_SYSTEM. */
    int why = gai_suspend(waited, 1, &soon);
    TRUE(why == EAI_AGAIN || why == EAI_SYSTEM);
    EQ(gai_error(&one), EAI_INPROGRESS);
    EQ(gai_cancel(&one), EAI_NOTCANCELED);
    EQ(gai_suspend(waited, 1, NULL), 0);
    EQ(gai_error(&one), 0);
    freeaddrinfo(one.ar_result);
    EQ(dns_asked(s), 1);
}
