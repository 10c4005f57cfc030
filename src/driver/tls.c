/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a server's certificate was refused, as OpenSSL's verify result says.
 *
 * Without linking OpenSSL. libpq may be built with another TLS library or none, and a process may
 * hold several copies of OpenSSL: so its four functions are looked up among the dependencies of the
 * libpq that is loaded. The struct is the one that libpq gives out by PQsslStruct; one more
 * reference to it is all that is taken, and it is only read after libpq has given up.
 *
 * The lookup takes the loader's lock, which may be held by somebody who opens a pool and waits for
 * its keeper (a constructor of a library). So it is whoever opens a pool that looks, and nobody
 * waits for another who does: all find the same, and one writes it down.
 *
 * Orderings. [tls:R1] in wi_tls_find, [tls:A1] in wi_tls_hold: who sees KNOWN sees the functions.
 */
#include "driver/tls.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/line.h"

/* up_ref is NULL where this libpq has no OpenSSL. */
struct functions {
	int (*up_ref)(void *ssl);
	void (*free)(void *ssl);
	long (*verify_result)(const void *ssl);
	const char *(*text)(long result);
};

enum { UNKNOWN, BEING_WRITTEN, KNOWN };

static _Atomic int state;        /* (a) */
static struct functions openssl; /* (c) once it is KNOWN */

/* ISO C has no way from an object pointer to a function pointer; POSIX says that it is one. */
static bool find_one(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

static void look_beside(const void *libpq_address, struct functions *found)
{
	Dl_info where;
	void *library;

	if (!dladdr(libpq_address, &where) || !where.dli_fname)
		return;
	library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	/* A libpq linked in: what it uses is linked in, too. */
	if (!library)
		library = dlopen(NULL, RTLD_LAZY);
	if (!library)
		return;
	if (!find_one(library, "SSL_free", &found->free) ||
	    !find_one(library, "SSL_get_verify_result", &found->verify_result) ||
	    !find_one(library, "X509_verify_cert_error_string", &found->text) ||
	    !find_one(library, "SSL_up_ref", &found->up_ref))
		found->up_ref = NULL;
	dlclose(library); /* libpq is loaded for as long as we are */
}

void wi_tls_find(const void *libpq_address)
{
	struct functions found = {0};
	int seen = UNKNOWN;

	if (wi_load_rlx(&state) != UNKNOWN)
		return;
	look_beside(libpq_address, &found);
	if (!wi_cas_rlx(&state, &seen, BEING_WRITTEN))
		return;
	openssl = found;
	/* [tls:R1] publishes the functions; pairs with A1. */
	wi_store_rel(&state, KNOWN);
}

void *wi_tls_hold(void *ssl)
{
	/* [tls:A1] sees the functions; pairs with R1. */
	if (wi_load_acq(&state) != KNOWN)
		return NULL;
	return ssl && openssl.up_ref && openssl.up_ref(ssl) ? ssl : NULL;
}

/* X509_V_ERR_ numbers, which OpenSSL never changes; what is not listed is about the chain. */
static const struct {
	long result;
	const char *words;
} refusals[] = {
	{10, "the server's certificate has expired"},
	{9, "the server's certificate is not valid yet"},
	{23, "the server's certificate has been revoked"},
	{3, "the revocation list (sslcrl) says nothing of the server's authority"},
	{12, "the revocation list (sslcrl) has expired"},
	{11, "the revocation list (sslcrl) is not valid yet"},
	{62, "the server's certificate is for another name"},
	{64, "the server's certificate is for another address"},
};

const char *wi_tls_why(void *held, char *text, unsigned long room)
{
	const char *words = "no authority that is trusted (sslrootcert) vouches for the server";
	long result = held ? openssl.verify_result(held) : 0;

	if (result == 0)
		return NULL;
	for (size_t i = 0; i < WI_ARRAY_LEN(refusals); i++)
		if (refusals[i].result == result)
			words = refusals[i].words;
	snprintf(text, room, "%s (%s)", words, openssl.text(result));
	return text;
}

void wi_tls_drop(void *held)
{
	if (held)
		openssl.free(held);
}
