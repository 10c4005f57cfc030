/* SPDX-License-Identifier: BSD-2-Clause */
/* One way to open a pool; fake_pool.h tells what for. */
#include "support/fake_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/world.h"
#include "pool/pool.h"

weir_pool *fake_pool_open(struct wi_fake_server *server, const weir_options *options)
{
	weir_pool *pool = NULL;
	weir_error error;

	if (wi_pool_open_with(&wi_driver_fake, &wi_world_linux, server,
	                      "postgresql://app@127.0.0.1/shop", options, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return pool;
}
