// SPDX-License-Identifier: BSD-2-Clause
//
// Turns PQconnectdb ... PQfinish within a function into a checkout and a checkin, with Coccinelle 1.1:
//
//     spatch --sp-file checkouts.cocci -D the_router=app_router --in-place shop.c
//
// app_router is a weir_router * of the program's, opened where it starts. Every checkout is made with WEIR_WRITE,
// which is always right; those that only read may become WEIR_READ afterwards, one by one. What the string of the
// connect said belongs into weir_router_open.
//
// A connection that outlives its function (returned, or kept in a struct) stays as it is. Whatever libpq call is
// left that makes, ends or resets a connection is told: a connection of weir's must meet none of them.

@ kept_at_birth @
typedef PGconn;
identifier c, m;
expression E, x;
position p;
@@
PGconn *c = PQconnectdb@p(E);
... when any
(
return c;
|
x->m = c
|
x.m = c
)

@ kept_later @
PGconn *c;
identifier m;
expression E, x;
position p;
@@
c = PQconnectdb@p(E);
... when any
(
return c;
|
x->m = c
|
x.m = c
)

@ at_birth @
typedef weir_error, weir_conn;
identifier c;
identifier virtual.the_router;
expression E;
position p != {kept_at_birth.p, kept_later.p};
fresh identifier handle = c ## "_handle";
fresh identifier error = c ## "_error";
@@
- PGconn *c = PQconnectdb@p(E);
+ weir_error error;
+ weir_conn *handle = NULL;
+ PGconn *c = weir_checkout(the_router, WEIR_WRITE, &handle, &error) == WEIR_OK ? weir_pg(handle) : NULL;
<... when any
(
- PQerrorMessage(c)
+ (handle ? PQerrorMessage(c) : error.text)
|
- PQfinish(c)
+ weir_checkin(&handle)
)
...>

@ later @
identifier c;
identifier virtual.the_router;
expression E;
position p != {kept_at_birth.p, kept_later.p};
fresh identifier handle = c ## "_handle";
fresh identifier error = c ## "_error";
@@
(
PGconn *c;
+ weir_error error;
+ weir_conn *handle = NULL;
|
PGconn *c = NULL;
+ weir_error error;
+ weir_conn *handle = NULL;
)
...
- c = PQconnectdb@p(E);
+ c = weir_checkout(the_router, WEIR_WRITE, &handle, &error) == WEIR_OK ? weir_pg(handle) : NULL;
<... when any
(
- PQerrorMessage(c)
+ (handle ? PQerrorMessage(c) : error.text)
|
- PQfinish(c)
+ weir_checkin(&handle)
)
...>

@ depends on at_birth || later @
@@
#include <libpq-fe.h>
+ #include <weir/weir.h>

@ left @
identifier f =~ "^PQ(connectdb|connectdbParams|connectStart|connectStartParams|setdb|setdbLogin|finish|reset|resetStart)$";
position p;
@@
f@p(...)

@ script:python @
f << left.f;
p << left.p;
@@
import sys
for at in p:
    print(f"{at.file}:{at.line}: {f} in {at.current_element} is left as it was", file=sys.stderr)
