/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much a server has to prove before it hears anything: which sslmode holds where nobody chose
 * one, and whether a password would go to somebody unverified.
 */
#ifndef WI_POOL_TRUST_H
#define WI_POOL_TRUST_H

#include <stdbool.h>

#include "config/dsn.h"
#include "driver/driver.h"

/*
 * Whether the way to a host stays on this machine: a Unix socket, a loopback address, "localhost".
 * A name that only leads to a loopback address does not count: who answers for names is part of
 * what is not trusted. Nor does a host that a service file may name.
 */
bool wi_trust_is_local(const struct wi_endpoint *endpoint);

/*
 * The sslmode to pass on: the option's, or the environment's, which would else give way to a
 * service file's; "" for libpq's own where the way stays on this machine; else verify-full, and
 * *strict says that it was nobody's choice.
 */
const char *wi_trust_sslmode(const weir_options *options, const struct wi_endpoint *endpoint,
                             bool *strict);

/*
 * Why a password could go to somebody who has not proven who he is, for people; NULL: it could not.
 * Reads the environment and looks whether the root file is there.
 */
const char *wi_trust_gap(const weir_options *options, const struct wi_endpoint *endpoint);

#endif
