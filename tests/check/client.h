/* SPDX-License-Identifier: BSD-2-Clause */
/* A client: a thread that writes and reads through the router and writes down what it saw. */
#ifndef WEIR_CHECK_CLIENT_H
#define WEIR_CHECK_CLIENT_H

#include "check/stage.h"

struct client {
	struct stage *stage;
	uint32_t number;         /* and its lane's */
	bool ticks;              /* only writes the last register, as fast as it goes */
	uint64_t writes;         /* so far: its values are number and count */
	uint32_t session;        /* the number of the one under way; 0: none */
	uint32_t sessions, left; /* begun so far; operations until the next beginning or end */
	weir_session shown;
	struct wi_rng rng;
	pthread_t thread;
};

/* Until stage->stop. */
void check_client_start(struct client *client);
void check_client_join(struct client *client);

#endif
