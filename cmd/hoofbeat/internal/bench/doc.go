// Package bench loads any STOMP server over WebSocket or TCP, and measures
// messages a second, latency, CPU and memory. Every message is numbered and
// checked: the result is valid only if every message arrives unchanged, once
// and in order.
//
//	result, err := bench.Run(ctx, bench.Config{
//		Target:   bench.Target{URL: "ws://127.0.0.1:8080/ws"},
//		Duration: 5 * time.Second,
//	}, &bench.Fanout{Subscribers: 100})
//	if err != nil {
//		return err // nothing was measured
//	}
//	return result.Table(os.Stdout)
//
// # What is measured
//
// Without a rate, publishers keep a window of messages in flight. A message is
// in flight until all its subscribers have received it; when half of the window
// is free, the publishers fill it again. This measures the server's maximum
// throughput; the latency then depends on the window. With a rate, messages are
// sent at fixed times whatever the server does, and latency counts from the
// time at which a message was due. This measures the latency of a server that
// is not overloaded.
//
// The load runs for a while before the measurement begins. With a rate, every
// message that was due in the measured time counts, however late it arrives;
// without one, every message that arrived in that time.
//
// # Low overhead
//
// Generator and server often share a machine, so the generator takes CPU time
// from the server. Each connection has one goroutine. It holds no buffer while
// it waits, reads all available data at once, and parses each frame only as far
// as necessary. The server's CPU seconds per million messages depend least on
// the generator.
package bench
