/* SPDX-License-Identifier: BSD-2-Clause */
/* A pool without a router on a fake server, in real time; for whom that is all that is needed. */
#ifndef WEIR_TEST_FAKE_POOL_H
#define WEIR_TEST_FAKE_POOL_H

#include <weir/weir.h>

#include "driver/fake.h"

/* The server has been initialised by the test, whose thread calls, and which fails if it cannot. */
weir_pool *fake_pool_open(struct wi_fake_server *server, const weir_options *options);

#endif
