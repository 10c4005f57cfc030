/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the fault proxy share. One mutex guards all of it; the thread polls without. */
#ifndef WEIR_TEST_PROXY_INSIDE_H
#define WEIR_TEST_PROXY_INSIDE_H

#include <pthread.h>

#include "support/mock_wire.h"
#include "support/proxy.h"

#define PROXY_NEVER INT64_MAX

enum { PROXY_CLIENT, PROXY_SERVER }; /* ends of a link */

/* Bytes that came in one read, and when they may go on. */
struct proxy_chunk {
	size_t n;
	int64_t due_ns;
};

/* One direction. */
struct proxy_way {
	struct mock_bytes bytes;
	struct proxy_chunk *chunk;
	size_t chunks, room;
	int64_t next_ns; /* not before this, by the rate */
	int64_t to_cut;  /* bytes until the cut; -1: none */
	bool ended;      /* its source has ended */
	bool told;       /* its sink has been told so */
};

struct proxy_link {
	int fd[2];
	bool connecting;
	bool judged; /* its first packet is known */
	bool asked;  /* for encryption, and the server answers */
	bool is_cancel, held;
	bool deaf;  /* the proxy itself has answered, and says nothing more */
	bool stuff; /* the server's next byte gets company */
	bool over;
	struct test_proxy_fault fault;
	struct proxy_way way[2];
};

struct test_proxy {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	int listener, bell;
	int port;
	char address[64];
	char directory[64];
	char server[128];
	int server_port;
	int64_t ends_ns;
	bool stopping, refused, listens, ended;
	struct test_proxy_fault fault;  /* of those to come */
	struct test_proxy_fault spoken; /* what orders as words have come to */
	enum test_proxy_whom whom;      /* of orders as words */
	struct proxy_link **link;
	size_t links, room;
	struct test_proxy_counts counts;
};

/* proxy_link.c: one connection. */
struct proxy_link *proxy_link_open(struct test_proxy *p, int client);
void proxy_link_free(struct proxy_link *l);
void proxy_link_fault(struct proxy_link *l, const struct test_proxy_fault *fault);
void proxy_link_reset(struct proxy_link *l);
void proxy_link_rush(struct proxy_link *l); /* what is delayed goes now */

/* What to poll an end for; 0: nothing. And when something is due. */
short proxy_link_events(const struct proxy_link *l, int end, int64_t now_ns);
int64_t proxy_link_due(const struct proxy_link *l);

/* Moves what can be moved. l->over: it is to be freed. */
void proxy_link_serve(struct test_proxy *p, struct proxy_link *l, const short events[2],
                      int64_t now_ns);

int64_t proxy_now_ns(void);

#endif
