// SPDX-License-Identifier: BSD-2-Clause

// puddle, a pool of anything; pgxpool, which is puddle with connections of pgx; pgx alone.
package main

import (
	"context"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	"github.com/jackc/puddle"
)

var background = context.Background()

type puddlePool struct{ p *puddle.Pool }

func openPuddle(j *job) pool {
	construct := func(context.Context) (interface{}, error) { return struct{}{}, nil }
	p := puddle.NewPool(construct, func(interface{}) {}, int32(j.connections))
	for i := 0; i < j.connections; i++ {
		if err := p.CreateResource(background); err != nil {
			die(err)
		}
	}
	return puddlePool{p}
}

func (p puddlePool) take(int) interface{} {
	r, err := p.p.Acquire(background)
	if err != nil {
		die(err)
	}
	return r
}

func (p puddlePool) put(_ int, handle interface{})  { handle.(*puddle.Resource).Release() }
func (p puddlePool) query(interface{}, string) bool { return false }
func (p puddlePool) close()                         { p.p.Close() }

// pgx prepares a statement when it first sees its text, and keeps it: its default.
type asker interface {
	QueryRow(ctx context.Context, sql string, args ...interface{}) pgx.Row
}

func ask(c asker, sql string) bool {
	var one int32
	return c.QueryRow(background, sql).Scan(&one) == nil && one == 1
}

type pgxPool struct{ p *pgxpool.Pool }

func openPgxpool(j *job) pool {
	config, err := pgxpool.ParseConfig(j.url)
	if err != nil {
		die(err)
	}
	config.MinConns, config.MaxConns = int32(j.first()), int32(j.connections)
	p, err := pgxpool.ConnectConfig(background, config)
	if err != nil {
		die(err)
	}
	// All at once, so that each is open before the clock runs.
	held := make([]*pgxpool.Conn, j.first())
	for i := range held {
		if held[i], err = p.Acquire(background); err != nil {
			die(err)
		}
	}
	for _, c := range held {
		c.Release()
	}
	return pgxPool{p}
}

func (p pgxPool) take(int) interface{} {
	c, err := p.p.Acquire(background)
	if err != nil {
		die(err)
	}
	return c
}

func (p pgxPool) put(_ int, handle interface{})             { handle.(*pgxpool.Conn).Release() }
func (p pgxPool) query(handle interface{}, sql string) bool { return ask(handle.(*pgxpool.Conn), sql) }
func (p pgxPool) close()                                    { p.p.Close() }

type rawConns struct{ c []*pgx.Conn }

func openRaw(j *job) pool {
	r := rawConns{make([]*pgx.Conn, j.threads)}
	for i := range r.c {
		var err error
		if r.c[i], err = pgx.Connect(background, j.url); err != nil {
			die(err)
		}
	}
	return r
}

func (r rawConns) take(thread int) interface{}               { return r.c[thread] }
func (r rawConns) put(int, interface{})                      {}
func (r rawConns) query(handle interface{}, sql string) bool { return ask(handle.(*pgx.Conn), sql) }
func (r rawConns) close() {
	for _, c := range r.c {
		c.Close(background)
	}
}
