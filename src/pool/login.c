/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Credentials from the user's callback. Question and answer are one object in memory for secrets,
 * shared by the callback's thread and the keeper; it is wiped when both have let go of it. libpq
 * copies what it is given for a connect, and that copy is libpq's.
 */
#include "pool/login.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/line.h"
#include "base/secret.h"
#include "base/text.h"
#include "pool/chore.h"

struct asking {
	struct wi_chore chore;
	weir_credentials ask;       /* (c) */
	void *arg;                  /* (c) */
	char host[WEIR_ERROR_HOST]; /* (c) */
	bool ok;                    /* the thread's until the chore is done */
	weir_login login;           /* the same */
};

void wi_logins_init(struct wi_logins *l, const weir_options *options, const char *host)
{
	*l = (struct wi_logins){
		.ask = options->on_credentials, .arg = options->on_credentials_arg, .host = host};
}

static void forget(struct wi_logins *l)
{
	wi_secret_free(l->kept, sizeof(*l->kept));
	l->kept = NULL;
}

void wi_logins_fini(struct wi_logins *l)
{
	forget(l);
}

const weir_login *wi_login_kept(struct wi_logins *l, int64_t now_ns)
{
	if (l->kept && now_ns >= l->until_ns)
		forget(l);
	return l->kept;
}

void wi_login_refused(struct wi_logins *l)
{
	forget(l);
}

static void keep(struct wi_logins *l, const weir_login *login, int64_t now_ns)
{
	if (login->good_for_ms <= 0)
		return;
	if (!l->kept)
		l->kept = wi_secret_alloc(sizeof(*l->kept));
	if (!l->kept)
		return; /* the next connect asks again */
	memcpy(l->kept, login, sizeof(*login));
	l->until_ns = wi_deadline_after(now_ns, login->good_for_ms);
}

/* ---- on the callback's thread ---- */

static void run(struct wi_chore *chore)
{
	struct asking *a = WI_CONTAINER_OF(chore, struct asking, chore);

	a->ok = a->ask(a->arg, a->host, &a->login);
	/* Whatever it wrote, these end. */
	a->login.user[sizeof(a->login.user) - 1] = '\0';
	a->login.password[sizeof(a->login.password) - 1] = '\0';
	a->login.why[sizeof(a->login.why) - 1] = '\0';
}

static void dispose(struct wi_chore *chore)
{
	struct asking *a = WI_CONTAINER_OF(chore, struct asking, chore);

	wi_secret_free(a, sizeof(*a));
}

/* ---- asking ---- */

void *wi_login_start(const struct wi_logins *l, struct wi_keeper *keeper)
{
	struct asking *a = wi_secret_alloc(sizeof(*a));

	if (!a)
		return NULL;
	a->chore.run = run;
	a->chore.dispose = dispose;
	a->ask = l->ask;
	a->arg = l->arg;
	wi_copy(a->host, sizeof(a->host), l->host);
	if (wi_chore_start(&a->chore, WI_CHORE_USER, keeper))
		return a;
	wi_chore_drop(&a->chore, NULL);
	return NULL;
}

/* The callback's own words, without the password should it have said it. */
static void say_why(const struct asking *a, bool was_lost, struct wi_failure *failure)
{
	char why[sizeof(a->login.why)] = "";
	struct wi_text t;

	if (!was_lost) /* else a thread of a parent's may have stopped in the middle of it */
		wi_copy_clean(why, sizeof(why), a->login.why, a->login.password);
	*failure = (struct wi_failure){.fault = WI_FAULT_AUTH};
	wi_text_init(&t, failure->text, sizeof(failure->text));
	wi_text_add(&t, "on_credentials failed%s%s", was_lost || why[0] ? ": " : "",
	            was_lost ? "the call was lost" : why);
}

int wi_login_poll(struct wi_logins *l, void *asking, int64_t now_ns, const weir_login **login,
                  struct wi_failure *failure)
{
	struct asking *a = asking;
	int polled = wi_chore_poll(&a->chore);

	if (polled == 0)
		return 0;
	if (polled < 0 || !a->ok) {
		say_why(a, polled < 0, failure);
		return -1;
	}
	keep(l, &a->login, now_ns);
	*login = &a->login;
	return 1;
}

void wi_login_drop(void *asking)
{
	struct asking *a = asking;

	if (a)
		wi_chore_drop(&a->chore, NULL);
}
