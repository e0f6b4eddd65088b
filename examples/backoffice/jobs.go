package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// A job runs periodically. If it has a topic, its result is published there.
type job struct {
	name  string
	every time.Duration
	topic string
	run   func(context.Context) ([]byte, error)
}

// start runs each job in its own goroutine until ctx ends. Errors and panics
// are logged, and the job runs again at its next turn. A job that takes longer
// than its interval misses turns.
func start(ctx context.Context, b *broker.Broker, jobs ...job) {
	for _, j := range jobs {
		go func() {
			tick := time.NewTicker(j.every)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if err := j.turn(ctx, b); err != nil && ctx.Err() == nil {
					log.Printf("job %s: %v", j.name, err)
				}
			}
		}()
	}
}

func (j *job) turn(ctx context.Context, b *broker.Broker) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	body, err := j.run(ctx)
	if err != nil || j.topic == "" {
		return err
	}
	return b.Publish(ctx, &broker.Message{Destination: j.topic, Body: body})
}
