// Package bench puts load on a STOMP server over WebSocket or TCP, any server, and
// measures what it does with it: messages a second, latency, CPU and memory. Every
// message is numbered and checked: a server is only fast when what arrives is what
// was sent, once and in order.
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
// Without a rate, publishers keep a window of messages in flight: a message is in
// flight until all its subscribers have it, and when half of the window is free
// the publishers fill it. That finds the server's throughput; its latency is then
// that of the window. At a rate, messages are sent at fixed times whatever the
// server does, and latency counts from the time at which a message was due. That
// finds the latency of a server that is not full.
//
// The load runs for a while before it is measured. At a rate every message that
// was due in the measured time counts, however late it comes; without one, every
// message that came in it.
//
// # How it stays cheap
//
// Generator and server often share a machine, so that what the generator uses is
// missing to the server. A connection has one goroutine that waits without a
// buffer, reads as much as there is and looks at each frame only as far as it
// must. The server's CPU seconds for a million messages are the figure that
// depends least on the generator.
package bench
