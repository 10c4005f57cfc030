/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a server's certificate was refused, as OpenSSL's verify result says.
 *
 * Without linking OpenSSL. libpq may be built with another TLS library or none, and a process may
 * hold several copies of OpenSSL: so its four functions are looked up among the dependencies of the
 * libpq that is loaded. The struct is the one that libpq gives out by PQsslStruct; one more
 * reference to it is all that is taken, and it is only read after libpq has given up.
 */
#include "driver/tls.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/line.h"

/* (c) after find; all NULL where this libpq has no OpenSSL */
static struct {
	int (*up_ref)(void *ssl);
	void (*free)(void *ssl);
	long (*verify_result)(const void *ssl);
	const char *(*text)(long result);
} openssl;

static const void *libpq; /* (c) what find looks beside */
static pthread_mutex_t finding = PTHREAD_MUTEX_INITIALIZER;

/* ISO C has no way from an object pointer to a function pointer; POSIX says that it is one. */
static bool find_one(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

static void find(const void *libpq_address)
{
	Dl_info where;
	void *library;

	libpq = libpq_address;
	if (!dladdr(libpq_address, &where) || !where.dli_fname)
		return;
	library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	/* A libpq linked in: what it uses is linked in, too. */
	if (!library)
		library = dlopen(NULL, RTLD_LAZY);
	if (!library)
		return;
	if (!find_one(library, "SSL_free", &openssl.free) ||
	    !find_one(library, "SSL_get_verify_result", &openssl.verify_result) ||
	    !find_one(library, "X509_verify_cert_error_string", &openssl.text) ||
	    !find_one(library, "SSL_up_ref", &openssl.up_ref))
		openssl.up_ref = NULL;
	dlclose(library); /* libpq is loaded for as long as we are */
}

void *wi_tls_hold(void *ssl, const void *libpq_address)
{
	pthread_mutex_lock(&finding);
	if (!libpq)
		find(libpq_address);
	pthread_mutex_unlock(&finding);
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
