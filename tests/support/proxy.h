/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A proxy that does harm: a thread of this process that listens on loopback (or a Unix socket),
 * forwards to a server, and between them delays, slows, cuts, swallows, refuses. It knows as much
 * of PostgreSQL as to tell requests for encryption and cancels from sessions. It ends by itself
 * after max_seconds.
 *
 * Faults can be changed at any time, for connections that are there, for those to come, or both.
 * Order is kept and nothing is doubled, whatever is delayed. Every function may be called by any
 * thread between start and stop. The program fault_proxy does the same for shells and Python.
 */
#ifndef WEIR_TEST_PROXY_H
#define WEIR_TEST_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_proxy;

struct test_proxy_options {
	const char *host;    /* the server: an address, or the directory of its Unix socket */
	int port;            /* the server's */
	bool unix_socket;    /* listen on one, in a directory of its own; else on 127.0.0.1 */
	const char *address; /* to listen on instead of 127.0.0.1 */
	int listen_port;     /* 0: a free one */
	int max_seconds;     /* 0 means 120 */
};

/* Starts a proxy; it listens when this returns. A failure ends the process. */
struct test_proxy *test_proxy_start(const struct test_proxy_options *options);

/* Ends it with all its connections, frees it, sets *proxy to NULL. */
void test_proxy_stop(struct test_proxy **proxy);

const char *test_proxy_host(const struct test_proxy *proxy);
int test_proxy_port(const struct test_proxy *proxy);

/* ---- faults ---- */

enum test_proxy_way { TEST_TO_SERVER, TEST_TO_CLIENT };

enum test_proxy_ssl {
	TEST_PROXY_SSL_PASS,    /* the server answers a request for encryption */
	TEST_PROXY_SSL_NO,      /* 'N' in its place: a man in the middle who wants it plain */
	TEST_PROXY_SSL_STALL,   /* 'S', then nothing */
	TEST_PROXY_SSL_GARBAGE, /* 'S', then what is no TLS */
	TEST_PROXY_SSL_STUFFED, /* the server's own 'S', and plain bytes right behind it */
};

/* Zeroed: none. Pairs are by enum test_proxy_way. */
struct test_proxy_fault {
	int64_t delay_ms[2];
	int64_t rate[2];      /* bytes a second; 0: as fast as it goes */
	int64_t cut_after[2]; /* cut when so many bytes more have been forwarded; 0: never */
	bool cut_by_reset;    /* cut by RST instead of FIN */
	bool stop[2];         /* what comes is not read: the sender's window fills */
	bool swallow[2];      /* what comes is read and thrown away */
	bool keep_end[2];     /* the end (FIN, RST) of one side is not told to the other */
	enum test_proxy_ssl ssl;
	int64_t cancel_delay_ms; /* CancelRequests are forwarded so much later */
	bool cancel_hold;        /* or not before test_proxy_cancels_go */
};

enum test_proxy_whom { TEST_PROXY_ALL, TEST_PROXY_NEW, TEST_PROXY_PRESENT };

/* From now on these are the faults, in the place of those before. */
void test_proxy_fault(struct test_proxy *proxy, enum test_proxy_whom whom,
                      const struct test_proxy_fault *fault);

/* No faults any more, for anybody; what was delayed or held goes on at once. */
void test_proxy_heal(struct test_proxy *proxy);

/* Both ways swallow, ends are kept: as a network that drops every packet. For all. */
void test_proxy_blackhole(struct test_proxy *proxy);

/* Nobody listens (the port stays ours); false: somebody does. */
void test_proxy_refuse(struct test_proxy *proxy, bool refused);

/* ---- deeds, on the connections that are there; how many there were ---- */

int test_proxy_reset(struct test_proxy *proxy);
int test_proxy_drop(struct test_proxy *proxy); /* FIN both ways */
/* FIN in this direction only; the other goes on. */
int test_proxy_half_close(struct test_proxy *proxy, enum test_proxy_way way);
/* Forwards the CancelRequests that are held. */
int test_proxy_cancels_go(struct test_proxy *proxy);

/* ---- what was seen ---- */

struct test_proxy_counts {
	uint64_t connects;               /* accepted */
	uint64_t cancels;                /* of these, CancelRequests */
	uint64_t ssl_requests, sessions; /* startup packets */
	uint32_t open;                   /* now */
	uint32_t held;                   /* cancels that wait for go */
	uint64_t bytes[2];               /* forwarded */
	uint64_t lost[2];                /* swallowed */
	uint64_t cuts;
};
void test_proxy_counts(struct test_proxy *proxy, struct test_proxy_counts *counts);

/* Waits for something to be true of the counts; false after so many ms. */
bool test_proxy_await(struct test_proxy *proxy, int64_t ms,
                      bool (*holds)(const struct test_proxy_counts *counts, void *arg), void *arg);

/*
 * One order as a line of words (proxy_words.c lists them), and the answer: "ok", "ok 3", "err why".
 * True if it was understood and done.
 */
bool test_proxy_order(struct test_proxy *proxy, const char *line, char *answer, size_t room);

#endif
