/* Name servers that fail, are silent, answer wrongly or at length; and questions of many threads. libc's own resolver is the oracle. */
#include "zone.h"

static bool silent(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                   bool stream)
{
    (void)s, (void)query, (void)q, (void)r, (void)stream;
    return false;
}

/* As usual, but the second kind of address is SERVFAIL. */
static bool no_aaaa(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                    bool stream)
{
    return q->type == DNS_AAAA ? servfail(s, query, q, r, stream) : answer(s, query, q, r, stream);
}

/* Nothing to the first question of each kind. */
static bool second_time(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                        bool stream)
{
    return dns_asked(s) > 2 && answer(s, query, q, r, stream);
}

/* An answer that does not fit a datagram. */
static bool big(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r, bool stream)
{
    (void)s;
    char text[32];
    dns_begin(r, query, q, NOERROR);
    if (!stream) {
        r->bytes[2] |= 2;
        return true;
    }
    for (int i = 1; q->type == DNS_A && i <= 250; i++) {
        snprintf(text, sizeof(text), "127.0.7.%d", i);
        dns_add(r, q->name, DNS_A, text);
    }
    return true;
}

/* First an answer that is none, then the right one. */
static bool bad_id(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                   bool stream)
{
    answer(s, query, q, r, stream);
    if (dns_asked(s) <= 2)
        r->bytes[0] ^= 0x55;
    return true;
}

static bool bad_name(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                     bool stream)
{
    answer(s, query, q, r, stream);
    if (dns_asked(s) <= 2)
        r->bytes[13] ^= 0x03;
    return true;
}

static bool refuse(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                   bool stream)
{
    (void)s, (void)stream;
    dns_begin(r, query, q, REFUSED);
    return true;
}

static int elsewhere;

static bool bad_source(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                       bool stream)
{
    s->out = dns_asked(s) <= 2 ? elsewhere : s->udp;
    return answer(s, query, q, r, stream);
}

static bool half_silent(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                        bool stream)
{
    return q->type == DNS_A && answer(s, query, q, r, stream);
}

/* Too long for a datagram, and TCP ends at once. */
static bool ends_early(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                       bool stream)
{
    return big(s, query, q, r, stream) && !stream;
}

/* Nothing but a header. */
static bool bare_refusal(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                         bool stream)
{
    refuse(s, query, q, r, stream);
    r->bytes[5] = 0;
    r->len = 12;
    return true;
}

/* EDNS is not understood. */
static bool old_server(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                       bool stream)
{
    answer(s, query, q, r, stream);
    if (q->edns)
        dns_begin(r, query, q, FORMERR);
    return true;
}

static bool garbage(struct dns_server *s, const unsigned char *query, const struct dns_question *q, struct dns_reply *r,
                    bool stream)
{
    (void)s, (void)stream;
    dns_begin(r, query, q, NOERROR);
    r->bytes[7] = 3;
    memset(r->bytes + r->len, 0xc0, 40);
    r->len += 40;
    return true;
}

/* --- servers that fail ---------------------------------------------------------------------------------------------------- */

#define TWO "nameserver 127.0.0.1\nnameserver 127.0.0.2\noptions timeout:3 attempts:1\n"

CASE(nobody_there)
{
    resolve_by(ONE);
    long long begin = now_ms();
    SAYS(ask("four.test", AF_UNSPEC, 0), "AGAIN");
    SAYS(ask("four.test", AF_INET, 0), "AGAIN");
    TRUE(now_ms() - begin < LONG_MS);
}

CASE(second_server_when_the_first_is_not_there)
{
    resolve_by(TWO);
    struct dns_server *s = dns_start(2, answer);
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    EQ(dns_asked(s), 2);
}

CASE(second_server_when_the_first_is_silent)
{
    resolve_by(TWO);
    struct dns_server *first = dns_start(1, silent), *s = dns_start(2, answer);
    long long begin = now_ms();
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    RANGE(now_ms() - begin, 2900, 2 * LONG_MS);
    EQ(dns_asked(first), 1);
    EQ(dns_asked(s), 1);
}

CASE(second_server_when_the_first_fails)
{
    resolve_by(TWO);
    struct dns_server *first = dns_start(1, servfail), *s = dns_start(2, answer);
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    EQ(dns_asked(first), 1);
    EQ(dns_asked(s), 1);
}

CASE(second_server_when_the_first_refuses)
{
    resolve_by(TWO);
    dns_start(1, refuse);
    dns_start(2, answer);
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
}

CASE(second_server_is_not_asked_for_what_the_first_denies)
{
    resolve_by(TWO);
    dns_start(1, answer);
    struct dns_server *s = dns_start(2, answer);
    SAYS(ask("missing.test", AF_INET, 0), "NONAME");
    EQ(dns_asked(s), 0);
}

CASE(everybody_fails)
{
    resolve_by(TWO);
    dns_start(1, servfail);
    dns_start(2, servfail);
    SAYS(ask("four.test", AF_INET, 0), "AGAIN");
    SAYS(ask("four.test", AF_UNSPEC, 0), "AGAIN");
}

CASE(everybody_is_silent)
{
    resolve_by(TWO);
    dns_start(1, silent);
    dns_start(2, silent);
    long long begin = now_ms();
    SAYS(ask("four.test", AF_INET, 0), "AGAIN");
    RANGE(now_ms() - begin, 5900, 3 * LONG_MS);
}

/* Each time around takes as long as the first. */
CASE(silent_three_times)
{
    resolve_by("nameserver 127.0.0.1\noptions timeout:2 attempts:3\n");
    struct dns_server *s = dns_start(1, silent);
    long long begin = now_ms();
    SAYS(ask("four.test", AF_INET, 0), "AGAIN");
    RANGE(now_ms() - begin, 5900, 13000);
    EQ(dns_asked(s), 3);
}

CASE(lost_questions_are_asked_again)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, second_time);
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    EQ(dns_asked(s), 4);
}

CASE(wrong_number_is_no_answer)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, bad_id);
    long long begin = now_ms();
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    RANGE(now_ms() - begin, 2900, 2 * LONG_MS);
    EQ(dns_asked(s), 4);
}

CASE(wrong_name_is_no_answer)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, bad_name);
    long long begin = now_ms();
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    RANGE(now_ms() - begin, 2900, 2 * LONG_MS);
    EQ(dns_asked(s), 4);
}

CASE(wrong_source_is_no_answer)
{
    resolve_by(ONE);
    struct addr other = ipv4("127.0.0.9", 53);
    elsewhere = udp(AF_INET);
    OK(bind(elsewhere, &other.sa, other.len));
    struct dns_server *s = dns_start(1, bad_source);
    long long begin = now_ms();
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    RANGE(now_ms() - begin, 2900, 2 * LONG_MS);
    EQ(dns_asked(s), 4);
}

CASE(one_of_two_questions_is_not_answered)
{
    resolve_by(ONE);
    dns_start(1, half_silent);
    long long begin = now_ms();
    SAYS(ask("both.test", AF_UNSPEC, 0), "127.0.0.42");
    RANGE(now_ms() - begin, 2900, 3 * LONG_MS);
}

CASE(tcp_that_ends_early)
{
    resolve_by(TWO);
    dns_start(1, ends_early);
    dns_start(2, answer);
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
}

CASE(tcp_that_ends_early_everywhere)
{
    resolve_by(ONE);
    dns_start(1, ends_early);
    const char *got = ask("four.test", AF_INET, 0);
    TRUE(got[0] >= 'A');
}

CASE(refusal_without_the_question)
{
    resolve_by("nameserver 127.0.0.1\nnameserver 127.0.0.2\noptions timeout:20 attempts:1\n");
    dns_start(1, bare_refusal);
    dns_start(2, answer);
    long long begin = now_ms();
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    RANGE(now_ms() - begin, 0, LONG_MS);
}

CASE(server_over_ipv6)
{
    resolve_by("nameserver ::1\nnameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    EQ(dns_asked(s), 1);
}

CASE(one_of_two_questions_fails)
{
    resolve_by(ONE);
    dns_start(1, no_aaaa);
    SAYS(ask("both.test", AF_UNSPEC, 0), "127.0.0.42");
}

CASE(garbage_is_no_answer)
{
    resolve_by(ONE);
    dns_start(1, garbage);
    const char *got = ask("four.test", AF_INET, 0);
    TRUE(got[0] >= 'A');
}

/* glibc does not try without. */
CASE(edns_that_is_not_understood)
{
    resolve_by(ONE "options edns0\n");
    struct dns_server *s = dns_start(1, old_server);
    SAYS(ask("four.test", AF_INET, 0), "NONAME");
    EQ(dns_asked(s), 1);
}

CASE(edns_that_is_understood)
{
    resolve_by(ONE "options edns0 trust-ad\n");
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    EQ(dns_count(s, "1 both.test edns"), 1);
    EQ(dns_count(s, "28 both.test edns"), 1);
}

CASE(long_answers_come_over_tcp)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, big);
    const char *got = ask("large.test", AF_INET, 0);
    int count = 1;
    for (const char *c = got; *c; c++)
        count += *c == ' ';
    EQ(count, 250);
    /* libc asks again with more room. */
    TRUE(dns_count(s, "1 large.test") >= 1);
    TRUE(dns_count(s, "1 large.test tcp") >= 1);
}

CASE(long_answers_of_both_families)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, big);
    const char *got = ask("large.test", AF_UNSPEC, 0);
    int count = 1;
    for (const char *c = got; *c; c++)
        count += *c == ' ';
    EQ(count, 250);
    TRUE(dns_count(s, "1 large.test tcp") >= 1);
    TRUE(dns_count(s, "28 large.test tcp") >= 1);
}

CASE(over_tcp_only)
{
    resolve_by(ONE "options use-vc\n");
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    EQ(dns_count(s, "1 both.test tcp"), 1);
    EQ(dns_asked(s), 2);
}

CASE(one_after_the_other)
{
    resolve_by(ONE "options single-request\n");
    struct dns_server *s = dns_start(1, answer);
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    EQ(dns_asked(s), 2);
}

CASE(rotate)
{
    resolve_by("nameserver 127.0.0.1\nnameserver 127.0.0.2\noptions timeout:3 attempts:1 rotate\n");
    struct dns_server *first = dns_start(1, answer), *second = dns_start(2, answer);
    for (int i = 0; i < 8; i++)
        SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    TRUE(dns_asked(first) > 0 && dns_asked(second) > 0);
    EQ(dns_asked(first) + dns_asked(second), 8);
}

static void *many_questions(void *arg)
{
    for (int i = 0; i < 20; i++)
        SAYS(ask(arg ? "both.test" : "six.test", AF_UNSPEC, 0), arg ? "::1 127.0.0.42" : "::1");
    return NULL;
}

CASE(threads_ask_at_once)
{
    resolve_by("nameserver 127.0.0.1\noptions timeout:5\n"); /* nobody asks twice on a busy machine */
    struct dns_server *s = dns_start(1, answer);
    pthread_t threads[8];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        EQ(pthread_create(&threads[i], NULL, many_questions, i % 2 ? s : NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        EQ(pthread_join(threads[i], NULL), 0);
    EQ(dns_asked(s), 8 * 20 * 2);
}

CASE(handlers_do_not_end_the_wait)
{
    resolve_by(ONE);
    struct dns_server *s = dns_start(1, second_time);
    struct task first, second;
    catch_signal(SIGUSR1, 0);
    send_signal_after(&first, 200, SIGUSR1);
    send_signal_after(&second, 400, SIGUSR1);
    SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    join(&first);
    join(&second);
    EQ(caught_signals, 2);
    EQ(dns_asked(s), 4);
}

/* A lookup leaves no descriptor behind and shows none. */
CASE(no_descriptor_is_seen)
{
    resolve_by(ONE);
    dns_start(1, answer);
    int before = (int)OK(dup(0));
    close(before);
    for (int i = 0; i < 20; i++)
        SAYS(ask("both.test", AF_UNSPEC, 0), "::1 127.0.0.42");
    int after = (int)OK(dup(0));
    /* One for each lookup would be twenty. What the library keeps for threads that wait are its own numbers, and how many there are is a
     * matter of time; so is what the server has open just now. */
    TRUE(after < before + 10);
}

CASE(errno_stays)
{
    resolve_by(ONE);
    dns_start(1, answer);
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    errno = 77;
    SAYS(ask("four.test", AF_INET, 0), "127.0.0.41");
    EQ(errno == 77 || errno == 0, 1);
}
