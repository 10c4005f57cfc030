/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who logs in, where the user's callback says so (on_credentials): asked as a chore, answered into
 * memory for secrets, wiped after use.
 */
#ifndef WI_POOL_LOGIN_H
#define WI_POOL_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/options.h>

#include "driver/driver.h"
#include "pool/keeper.h"

/* Whom to ask, and the last answer if it is good for longer. The keeper's thread. */
struct wi_logins {
	weir_credentials ask; /* NULL: nobody; the target says it all */
	void *arg;
	const char *host;
	weir_login *kept; /* or NULL */
	int64_t until_ns;
};

/* host as told to the callback; it and options must outlive it. */
void wi_logins_init(struct wi_logins *logins, const weir_options *options, const char *host);
void wi_logins_fini(struct wi_logins *logins);

/* What an earlier answer is still good for, or NULL. */
const weir_login *wi_login_kept(struct wi_logins *logins, int64_t now_ns);

/* The server refused it: the next connect asks anew. */
void wi_login_refused(struct wi_logins *logins);

/* Asks; keeper is rung when there is an answer. NULL: no memory or no thread. */
void *wi_login_start(const struct wi_logins *logins, struct wi_keeper *keeper);

/*
 * 0: not yet; 1: *login is the answer, until the drop; -1: *failure says why there is none. It is
 * kept if it says so.
 */
int wi_login_poll(struct wi_logins *logins, void *asking, int64_t now_ns, const weir_login **login,
                  struct wi_failure *failure);

/* Wipes the answer, or forgets the question. NULL is a no-op. */
void wi_login_drop(void *asking);

#endif
