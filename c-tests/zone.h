/* What the cases of names ask, and the server that knows the answers. */
#ifndef C_TESTS_ZONE_H
#define C_TESTS_ZONE_H

#include "dns.h"

/* --- what the server knows ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int type;
    const char *data;
} zone[] = {
    {"four.test", DNS_A, "127.0.0.41"},
    {"six.test", DNS_AAAA, "::1"},
    {"both.test", DNS_A, "127.0.0.42"},
    {"both.test", DNS_AAAA, "::1"},
    {"many.test", DNS_A, "127.0.0.9"},
    {"many.test", DNS_A, "127.0.0.2"},
    {"many.test", DNS_A, "127.0.1.1"},
    {"many.test", DNS_A, "127.0.0.3"},
    {"alias.test", DNS_CNAME, "middle.test"},
    {"middle.test", DNS_CNAME, "both.test"},
    {"to-nothing.test", DNS_CNAME, "empty.test"},
    {"circle.test", DNS_CNAME, "circle2.test"},
    {"circle2.test", DNS_CNAME, "circle.test"},
    {"odd.test", DNS_CNAME, "a$b.test"},
    {"a$b.test", DNS_A, "127.0.0.43"},
    {"under_score.test", DNS_A, "127.0.0.44"},
    {"empty.test", DNS_TXT, ""},
    {"host.first.search", DNS_A, "127.0.0.51"},
    {"host.second.search", DNS_A, "127.0.0.52"},
    {"other.second.search", DNS_A, "127.0.0.53"},
    {"a.b", DNS_A, "127.0.0.54"},
    {"a.b.first.search", DNS_A, "127.0.0.55"},
    {"single", DNS_A, "127.0.0.56"},
    {"41.0.0.127.in-addr.arpa", DNS_PTR, "four.test"},
    {"42.0.0.127.in-addr.arpa", DNS_CNAME, "42.sub.0.0.127.in-addr.arpa"},
    {"42.sub.0.0.127.in-addr.arpa", DNS_PTR, "both.test"},
    {"43.0.0.127.in-addr.arpa", DNS_PTR, "a$b.test"},
    {"44.0.0.127.in-addr.arpa", DNS_TXT, ""},
    {"45.0.0.127.in-addr.arpa", DNS_PTR, "here.first.search"},
    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_PTR, "six.test"},
    {"sorted.test", DNS_A, "198.51.100.1"},
    {"sorted.test", DNS_A, "10.83.0.200"},
    {"sorted.test", DNS_A, "10.83.0.3"},
    {"sorted.test", DNS_AAAA, "2001:db8::1"},
    {"sorted.test", DNS_AAAA, "fd83::ff00"},
    {"sorted.test", DNS_AAAA, "fd83::3"},
};

/* Follows CNAMEs as a recursive server does. */
static inline bool answer(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                   bool stream)
{
    (void)s, (void)stream;
    bool known = false, more = true;
    char name[300];
    strcpy(name, q->name);
    dns_begin(r, query, q, NOERROR);
    for (int link = 0; more && link < 4; link++) {
        more = false;
        for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
            if (strcmp(zone[i].name, name) != 0)
                continue;
            known = true;
            if (zone[i].type == q->type)
                dns_add(r, name, zone[i].type, zone[i].data);
            else if (zone[i].type == DNS_CNAME) {
                dns_add(r, name, DNS_CNAME, zone[i].data);
                strcpy(name, zone[i].data);
                more = true;
                break;
            }
        }
    }
    if (!known)
        dns_begin(r, query, q, NXDOMAIN);
    return true;
}

static inline bool servfail(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                     bool stream)
{
    (void)s, (void)stream;
    dns_begin(r, query, q, SERVFAIL);
    return true;
}

/* --- asking --------------------------------------------------------------------------------------------------------------- */

#define ONE "nameserver 127.0.0.1\noptions timeout:3 attempts:2\n" /* nobody asks twice on a busy machine */

/* getaddrinfo's answers as a text: addresses in their order; "canonical name: " before them; or the error's name. */
static inline const char *ask(const char *name, int family, int flags)
{
    static __thread char text[8192];
    struct addrinfo hints = {.ai_family = family, .ai_flags = flags, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int why = getaddrinfo(name, "80", &hints, &list);
    switch (why) {
    case 0: break;
    case EAI_NONAME: return "NONAME";
    case EAI_NODATA: return "NODATA";
    case EAI_AGAIN: return "AGAIN";
    case EAI_FAIL: return "FAIL";
    case EAI_SYSTEM: return "SYSTEM";
    case EAI_ADDRFAMILY: return "ADDRFAMILY";
    default: snprintf(text, sizeof(text), "%d", why); return text;
    }
    text[0] = 0;
    if (list->ai_canonname)
        snprintf(text, sizeof(text), "%s: ", list->ai_canonname);
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        size_t len = strlen(text);
        const void *ip = a->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
                                                 : (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;
        EQ(ntohs(((struct sockaddr_in *)a->ai_addr)->sin_port), 80);
        inet_ntop(a->ai_family, ip, text + len, (socklen_t)(sizeof(text) - len));
        if (a->ai_next)
            strcat(text, " ");
    }
    freeaddrinfo(list);
    return text;
}

static inline void says(const char *file, int line, const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        fprintf(stderr, "%s:%d: got `%s`, expected `%s`\n", file, line, got, want);
    check_true(file, line, want, strcmp(got, want) == 0);
}
#define SAYS(got, want) says(__FILE__, __LINE__, (got), (want))

#define SEARCH ONE "search first.search second.search\n"

#endif
