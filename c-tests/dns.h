/* A small name server for the cases of names, in a thread of the case: what it answers is decided by the name asked.
 *
 * The case is given files of its own in place of /etc/resolv.conf, /etc/nsswitch.conf and /etc/hosts, in a mount namespace of
 * its own, so libc's resolver is the oracle for the same questions. Servers listen on 127.0.0.1 and further, port 53, of
 * whichever network the case is on. */
#ifndef C_TESTS_DNS_H
#define C_TESTS_DNS_H

#include <arpa/nameser.h>
#include <sched.h>
#include <sys/mount.h>

#include "harness.h"

enum { DNS_A = 1, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_TXT = 16, DNS_AAAA = 28, DNS_OPT = 41 };


/* --- files of the case's own ---------------------------------------------------------------------------------------------- */

static inline void instead_of(const char *path, const char *text)
{
    char name[] = "/tmp/ctest-dns-XXXXXX";
    int fd = (int)OK(mkstemp(name));
    EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    OK(fchmod(fd, 0644));
    close(fd);
    int mounted = mount(name, path, NULL, MS_BIND, NULL);
    int why = errno;
    unlink(name);
    if (mounted != 0) {
        errno = why;
        perror(path);
        skip("a file can't be mounted over another here");
    }
}

/* resolv.conf as given; hosts: localhost and `known.test`. */
static inline void resolve_by(const char *resolv_conf)
{
    /* Still one thread: those to come share its mounts. */
    if (unshare(CLONE_NEWNS) != 0)
        skip("no mount namespace to be had");
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    instead_of("/etc/resolv.conf", resolv_conf);
    instead_of("/etc/nsswitch.conf", "hosts: files dns\nservices: files\n");
    instead_of("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.0.77 known.test known alias-of-known\n");
}

/* --- messages ------------------------------------------------------------------------------------------------------------- */

struct dns_question {
    char name[300]; /* dotted, lower case, without the dot at the end */
    int type;
    bool edns;
    size_t end; /* of the question section */
};

struct dns_reply {
    unsigned char bytes[16384];
    size_t len;
    int answers;
};

static inline bool dns_parse(const unsigned char *m, size_t len, struct dns_question *q)
{
    size_t at = 12, out = 0;
    if (len < 17)
        return false;
    while (at < len && m[at]) {
        size_t label = m[at++];
        if (label > 63 || at + label > len || out + label + 2 > sizeof(q->name))
            return false;
        for (size_t i = 0; i < label; i++) {
            char c = (char)m[at++];
            q->name[out++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        q->name[out++] = '.';
    }
    q->name[out ? out - 1 : 0] = 0;
    if (at + 5 > len)
        return false;
    q->type = m[at + 1] << 8 | m[at + 2];
    q->end = at + 5;
    q->edns = m[11] != 0;
    return true;
}

/* A reply with the question and nothing else yet. */
static inline void dns_begin(struct dns_reply *r, const unsigned char *query, const struct dns_question *q, int rcode)
{
    memcpy(r->bytes, query, q->end);
    r->len = q->end;
    r->answers = 0;
    r->bytes[2] = 0x81;
    r->bytes[3] = (unsigned char)(0x80 | rcode);
    memset(r->bytes + 6, 0, 6);
}

static inline size_t dns_name(unsigned char *to, const char *name)
{
    size_t out = 0;
    while (*name) {
        size_t label = strcspn(name, ".");
        to[out++] = (unsigned char)label;
        memcpy(to + out, name, label);
        out += label;
        name += label + (name[label] == '.');
    }
    to[out++] = 0;
    return out;
}

static inline void dns_record(struct dns_reply *r, const char *owner, int type, const void *data, size_t len)
{
    unsigned char head[10] = {0, (unsigned char)type, 0, 1, 0, 0, 0, 60, (unsigned char)(len >> 8), (unsigned char)len};
    r->len += dns_name(r->bytes + r->len, owner);
    memcpy(r->bytes + r->len, head, sizeof(head));
    memcpy(r->bytes + r->len + sizeof(head), data, len);
    r->len += sizeof(head) + len;
    r->answers++;
    r->bytes[6] = (unsigned char)(r->answers >> 8);
    r->bytes[7] = (unsigned char)r->answers;
}

/* `text` is an address or, for CNAME and PTR, a name. */
static inline void dns_add(struct dns_reply *r, const char *owner, int type, const char *text)
{
    unsigned char data[300];
    size_t len = type == DNS_A ? 4 : 16;
    if (type == DNS_A || type == DNS_AAAA)
        inet_pton(type == DNS_A ? AF_INET : AF_INET6, text, data);
    else
        len = dns_name(data, text);
    dns_record(r, owner, type, data, len);
}

/* --- the server ----------------------------------------------------------------------------------------------------------- */

struct dns_server {
    /* Fills in the reply to a question; false: there is none. `asked` counts from 0. */
    bool (*answer)(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                   bool stream);
    struct addr at;
    int udp, tcp;
    int out; /* replies leave by this one: `udp`, unless the case has another idea */
    struct task udp_task, tcp_task;
    pthread_mutex_t lock;
    char log[64][300]; /* "TYPE name" of each question, in the order of arrival; " tcp" or " edns" behind it */
    int asked;
};

static inline void dns_note(struct dns_server *s, const struct dns_question *q, bool stream)
{
    pthread_mutex_lock(&s->lock);
    if (s->asked < (int)ARRAY_LEN(s->log))
        snprintf(s->log[s->asked], sizeof(s->log[0]), "%d %.250s%s%s", q->type, q->name, stream ? " tcp" : "",
                 q->edns ? " edns" : "");
    s->asked++;
    pthread_mutex_unlock(&s->lock);
}

static inline int dns_asked(struct dns_server *s)
{
    pthread_mutex_lock(&s->lock);
    int asked = s->asked;
    pthread_mutex_unlock(&s->lock);
    return asked;
}

/* How often exactly this was asked. */
static inline int dns_count(struct dns_server *s, const char *what)
{
    int count = 0;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->asked && i < (int)ARRAY_LEN(s->log); i++)
        count += strcmp(s->log[i], what) == 0;
    pthread_mutex_unlock(&s->lock);
    return count;
}

static inline void dns_udp(void *arg)
{
    struct dns_server *s = arg;
    unsigned char query[2048];
    struct dns_reply *reply = malloc(sizeof(*reply));
    for (;;) {
        struct addr from = {.len = sizeof(from.ss)};
        ssize_t n = recvfrom(s->udp, query, sizeof(query), 0, &from.sa, &from.len);
        struct dns_question q;
        if (n < 0)
            break;
        if (!dns_parse(query, (size_t)n, &q))
            continue;
        dns_note(s, &q, false);
        if (s->answer(s, query, &q, reply, false))
            sendto(s->out, reply->bytes, reply->len, 0, &from.sa, from.len);
    }
    free(reply);
}

static inline bool dns_read(int fd, void *to, size_t len)
{
    return recv(fd, to, len, MSG_WAITALL) == (ssize_t)len;
}

static inline void dns_tcp(void *arg)
{
    struct dns_server *s = arg;
    struct dns_reply *reply = malloc(sizeof(*reply));
    for (;;) {
        int fd = accept(s->tcp, NULL, NULL);
        unsigned char query[2048], size[2];
        struct dns_question q;
        if (fd < 0)
            break;
        while (dns_read(fd, size, 2) && dns_read(fd, query, (size_t)(size[0] << 8 | size[1]))) {
            if (!dns_parse(query, (size_t)(size[0] << 8 | size[1]), &q))
                break;
            dns_note(s, &q, true);
            if (!s->answer(s, query, &q, reply, true))
                break;
            unsigned char head[2] = {(unsigned char)(reply->len >> 8), (unsigned char)reply->len};
            send_all(fd, head, 2);
            send_all(fd, reply->bytes, reply->len);
        }
        close(fd);
    }
    free(reply);
}

/* Listens on 127.0.0.`host`, UDP and TCP. */
static inline struct dns_server *dns_start(int host, bool (*answer)(struct dns_server *, const unsigned char *,
                                                                    const struct dns_question *, struct dns_reply *, bool))
{
    struct dns_server *s = calloc(1, sizeof(*s));
    char text[32];
    int one = 1;
    snprintf(text, sizeof(text), "127.0.0.%d", host);
    s->answer = answer;
    s->at = ipv4(text, 53);
    pthread_mutex_init(&s->lock, NULL);
    s->udp = udp(AF_INET);
    s->tcp = tcp(AF_INET);
    s->out = s->udp;
    OK(setsockopt(s->tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    OK(bind(s->udp, &s->at.sa, s->at.len));
    OK(bind(s->tcp, &s->at.sa, s->at.len));
    OK(listen(s->tcp, 8));
    start(&s->udp_task, 0, dns_udp, s);
    start(&s->tcp_task, 0, dns_tcp, s);
    return s;
}

#endif
