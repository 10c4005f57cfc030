/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a server's certificate was refused. libpq says only "certificate verify failed"; OpenSSL
 * knows which check it was. No header of either here.
 */
#ifndef WI_DRIVER_TLS_H
#define WI_DRIVER_TLS_H

/*
 * Looks up OpenSSL's functions, once. libpq_address is that of any function of libpq: they are
 * those of the very library that this libpq uses, and of no other copy in the process. Takes the
 * loader's lock: so not the keeper. Any other thread.
 */
void wi_tls_find(const void *libpq_address);

/*
 * Keeps the TLS state of a handshake under way, as PQsslStruct gives it out, beyond the moment when
 * libpq lets go of it. NULL if that cannot be had: then nobody can say why. Any thread.
 */
void *wi_tls_hold(void *ssl);

/* In plain words and OpenSSL's; NULL: the certificate was not refused by a check of OpenSSL's. */
const char *wi_tls_why(void *held, char *text, unsigned long room);

/* NULL is a no-op. */
void wi_tls_drop(void *held);

#endif
