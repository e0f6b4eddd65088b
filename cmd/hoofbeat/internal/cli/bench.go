package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hoofbeat/hoofbeat/broker/client"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/bench"
)

// load is one run of bench.
type load struct {
	connection
	conf    bench.Config
	headers []string
	json    bool
}

func (p *Program) bench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a STOMP server",
		Long:  benchHelp + "\n\n" + benchExit,
		Example: `  hoofbeat bench fanout --subscribers 100
  hoofbeat bench fanout --subscribers 100 --rate 200 --server-pid $(pidof hoofbeat)
  hoofbeat bench queues --producers 4 --consumers 4 --json | jq .per_second
  hoofbeat bench pairs -u tcp://127.0.0.1:61613 --pairs 50 --duration 20s
  hoofbeat bench idle --connections 5000 --duration 30s --server-pid $(pidof hoofbeat)
  hoofbeat bench history --duration 20s --server-pid $(pidof hoofbeat)`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.benchFanout(), p.benchSlow(), p.benchPairs(), p.benchUsers(), p.benchQueues(), p.benchReceipts(), p.benchConnect(), p.benchIdle(), p.benchFlood(), p.benchHistory(), p.benchReplay())
	return cmd
}

const benchHelp = `Put load on a STOMP server and measure it. The load is as high as the server allows. The
default server is ` + defaultURL + `; set another with --url or HOOFBEAT_URL.
Measure only your own servers, and start with one on your own machine.

Every message has a number and a known content. A run is PASS only if every message arrived
at the right receivers, once, in order and unchanged. Otherwise it is FAIL with exact
counts, at any speed.

Without --rate the senders keep --window messages in flight. A message is in flight until
its receivers have it, on average over the receivers; single receivers can lag further
behind. This finds the maximum throughput; the latency is then that of a saturated server.
With --rate they send at fixed times, however slow the server is. Latency then counts from
the time at which a message was due, so it includes pauses of the server and delays of the
generator. First find the maximum throughput, then measure latency at half of that rate.

The load runs for --warmup, and then for --duration while it is measured. --server-pid is
the process of a server on this machine (Linux). The result then has the CPU seconds per
million messages, the memory of the process and its descendants, and the share of the CPU
that other processes used. If generator and server share the cores, compare the CPU time.`

const benchExit = `Exit codes: 0 done and PASS; 1 FAIL or no connection; 2 the command line is wrong; 3 the
server refused the credential, the origin or the destination; 130 interrupted.`

const benchJSONHelp = `--json prints one object. The name of a time ends with its unit; sizes are in bytes:
  scenario, verdict (PASS, FAIL), interrupted, failures, notes, url, connections,
  subscribers, publishers, size, rate, window, seconds, unit, count, per_second,
  sent_per_second, messages_per_read, bytes_per_message,
  latency, generator_lag: {count, mean_ms, p50_ms, p90_ms, p99_ms, p999_ms, max_ms},
  generator_cpu_seconds, generator_cpu_seconds_per_million,
  server: {cpu_seconds, cpu_seconds_per_million, others_cpu_percent, rss_bytes_before,
    rss_bytes_after, rss_bytes_peak},
  check: {expected, received, lost, duplicated, reordered, corrupted, misrouted},
  stalled: {subscribers, ended, received, reason},
  idle: {connect_seconds, heartbeats_sent, bytes_received, server_cpu_percent,
    server_cpu_ms_per_connect, server_rss_bytes_per_connection},
  flood: {strangers, admitted, refused, failed, most_at_a_time, longest_seconds},
  history: {plain, kept: {count, seconds, per_second, server_cpu_seconds_per_million},
    throughput, server_cpu: {ratio, lowest, highest}},
  replay: {messages, rounds, live_per_second, per_second, of_live: {ratio, lowest, highest}},
  comeback: {clients, behind, count, connect_seconds, live_seconds, per_second,
    server_rss_bytes_before, server_rss_bytes_peak}
Fields that do not apply are left out.`

func (p *Program) benchFanout() *cobra.Command {
	var s bench.Fanout
	cmd := p.benchCommand("fanout", "Few publishers, one topic, many subscribers", `All publishers send to one topic and all subscribers get every message. The
count is of deliveries: with 100 subscribers each message counts 100 times.`, `  hoofbeat bench fanout --subscribers 100
  hoofbeat bench fanout --subscribers 1000 --size 1024 --rate 50 --duration 20s`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Subscribers, "subscribers", 100, "subscribers of the topic")
	f.IntVar(&s.Publishers, "publishers", 1, "publishers to the topic")
	rateFlags(f, &s.Rate, &s.Window, "32768 divided by the subscribers, but 16 to 1024")
	return cmd
}

func (p *Program) benchSlow() *cobra.Command {
	s := bench.Fanout{Stalled: 1}
	cmd := p.benchCommand("slow", "Fan-out in which some subscribers stop reading", `The same as fanout, but some subscribers stop reading when the load begins and resume
when it ends. The other subscribers must not notice. Each stalled subscriber must either get
all messages late or be disconnected; the result shows which.`, `  hoofbeat bench slow --subscribers 100 --stalled 1 --rate 1000`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Subscribers, "subscribers", 100, "subscribers of the topic, stalled ones included")
	f.IntVar(&s.Stalled, "stalled", 1, "subscribers that stop reading")
	f.IntVar(&s.Publishers, "publishers", 1, "publishers to the topic")
	rateFlags(f, &s.Rate, &s.Window, "32768 divided by the subscribers that read, but 16 to 1024")
	return cmd
}

func (p *Program) benchPairs() *cobra.Command {
	var s bench.Pairs
	cmd := p.benchCommand("pairs", "Many topics with one publisher and one subscriber each", `Each topic has its own publisher and its own subscriber: two connections.`, `  hoofbeat bench pairs --pairs 100
  hoofbeat bench pairs --pairs 100 --rate 5000`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Pairs, "pairs", 100, "topics")
	rateFlags(f, &s.Rate, &s.Window, "on each topic, 8192 divided by the topics, but 1 to 64")
	return cmd
}

func (p *Program) benchUsers() *cobra.Command {
	var s bench.Users
	cmd := p.benchCommand("users", "Messages to single users", `Every user subscribes to /user/queue/bench, and the publishers send to
/user/NAME/queue/bench of each user in turn. The names are --login with its %d
replaced by the number of the connection: bench0, bench1 … for the users and the next
numbers for the publishers, all with the same passcode.

Clients cannot send to other users unless a rule allows it, not even in development mode.
hoofbeat serve needs this in its hoofbeat.yaml:

  rules:
    - {allow: [send], destination: "/user/*/queue/bench", any_user: true}

In development mode logins are not checked. Otherwise the users must exist, for example
in auth.users.file.`, `  hoofbeat bench users --users 100
  hoofbeat bench users --users 1000 --rate 2000 --login 'user%d'`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Users, "users", 100, "users, each with one connection")
	f.IntVar(&s.Publishers, "publishers", 1, "publishers to all users")
	rateFlags(f, &s.Rate, &s.Window, "256")
	return cmd
}

func (p *Program) benchQueues() *cobra.Command {
	var s bench.Queues
	cmd := p.benchCommand("queues", "Producers and competing consumers of a queue", `Each message goes to one of the consumers, which acknowledges it as --ack says. The run
checks that each message arrived once, at any consumer, and that every consumer got the
messages of each producer in order.`, `  hoofbeat bench queues --producers 4 --consumers 4
  hoofbeat bench queues --ack auto --size 1024`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Producers, "producers", 4, "clients that send to the queue")
	f.IntVar(&s.Consumers, "consumers", 4, "clients that share its messages")
	f.StringVar(&s.Ack, "ack", "client-individual", "how they acknowledge: auto, client or client-individual")
	rateFlags(f, &s.Rate, &s.Window, "1024")
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("ack", cobra.FixedCompletions([]string{"auto", "client", "client-individual"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (p *Program) benchReceipts() *cobra.Command {
	var s bench.Receipts
	cmd := p.benchCommand("receipts", "Time from SEND to RECEIPT", `Each client sends messages with a receipt to its own topic, which has no subscribers, and
sends the next one when a receipt arrives. Latency is from SEND to RECEIPT.`, `  hoofbeat bench receipts --connections 50
  hoofbeat bench receipts --connections 1 --window 100`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Clients, "connections", 50, "clients")
	f.IntVar(&s.Window, "window", 1, "messages of each client that can wait for their receipt")
	return cmd
}

func (p *Program) benchConnect() *cobra.Command {
	var s bench.Connect
	cmd := p.benchCommand("connect", "Clients that connect and disconnect", `--parallel clients connect and disconnect repeatedly. With --cycle each client subscribes
to its own topic, sends a message there and receives it before it disconnects. Latency is
the time of the whole cycle.

A closed connection keeps its port for a while. On loopback --source-addresses spreads the
connections over several addresses.`, `  hoofbeat bench connect --parallel 32
  hoofbeat bench connect --cycle --duration 20s --source-addresses 20`, &s)
	cmd.Flags().BoolVar(&s.Cycle, "cycle", false, "subscribe, send and receive before disconnecting")
	return cmd
}

func (p *Program) benchIdle() *cobra.Command {
	var s bench.Idle
	cmd := p.benchCommand("idle", "Many connections without messages", `Opens the connections, each with a subscription to its own topic, and holds them. It counts
the connections opened per second. Latency is from dialling to CONNECTED. After --warmup,
in which the server settles, it is measured for --hold (another name for --duration): the
CPU time and memory are then the cost of holding the connections.

Each connection needs an open file in both processes (ulimit -n) and a port. On loopback,
20,000 or more connections are spread over several source addresses automatically. If the
server limits connections that have not sent CONNECT, in total or by address, reduce
--parallel.`, `  hoofbeat bench idle --connections 5000 --hold 30s --server-pid $(pidof hoofbeat)
  hoofbeat bench idle --connections 1000 --heartbeat 0s --subscribe=false`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Clients, "connections", 1000, "connections to hold")
	heartbeat := f.Duration("heartbeat", 10*time.Second, "heart-beats that the clients send and ask for, 0s for none")
	subscribe := f.Bool("subscribe", true, "give each connection a subscription")
	hold := f.Duration("hold", 0, "time to hold and measure them, default --duration")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if s.Heartbeat = *heartbeat; *heartbeat == 0 {
			s.Heartbeat = -1
		} else if *heartbeat < 0 {
			return usagef("--heartbeat %v is negative", *heartbeat)
		}
		s.Unsubscribed = !*subscribe
		if f.Changed("hold") {
			return f.Set("duration", hold.String())
		}
		return nil
	}
	return cmd
}

func (p *Program) benchFlood() *cobra.Command {
	var s bench.Flood
	cmd := p.benchCommand("flood", "Strangers that never send CONNECT", `Opens connections that never send CONNECT ("strangers") from 10,000 addresses of 127.0.0.0/8,
--parallel at a time, and meanwhile connects good clients one after another. The count is of
good clients. Latency is from dialling to CONNECTED. A run fails if a good client takes
longer than --limit, if more strangers than --most are connected at a time, or if one stays
longer than --life. --warmup and --duration have no effect: the run ends with the last
stranger.

The server must be on 127.0.0.0/8. Each stranger needs an open file (ulimit -n).`, `  hoofbeat bench flood
  hoofbeat bench flood --strangers 1000 --limit 50ms --server-pid $(pidof hoofbeat)`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Strangers, "strangers", 10_000, "connections without CONNECT")
	f.DurationVar(&s.Limit, "limit", 100*time.Millisecond, "maximum time in which a good client must be CONNECTED")
	f.IntVar(&s.Most, "most", 2048, "maximum number of strangers connected at a time")
	f.DurationVar(&s.Life, "life", 6*time.Second, "maximum time for which a stranger stays connected")
	return cmd
}

// keepBench is what a server needs for history and replay.
const keepBench = `The server must keep the messages. hoofbeat serve needs this in its hoofbeat.yaml:

  history:
    - {destination: "/topic/bench-history/**", messages: 100000}`

func (p *Program) benchHistory() *cobra.Command {
	var s bench.History
	cmd := p.benchCommand("history", "Fan-out to a topic with a history beside one without", `Two topics, each with a publisher and its own subscribers. One of them has a history. They
take turns of about a second, so that both meet the same machine. The result has the ratios
of both: of the deliveries a second and, with --server-pid, of the server's CPU time per
delivery. The count is of the deliveries of both.

`+keepBench, `  hoofbeat bench history --server-pid $(pidof hoofbeat)
  hoofbeat bench history --subscribers 1000 --duration 60s --json | jq .history.server_cpu.ratio`, &s)
	f := cmd.Flags()
	f.IntVar(&s.Subscribers, "subscribers", 100, "subscribers of each topic")
	f.StringVar(&s.Kept, "history", "/topic/bench-history", "prefix of the destination with a history; --destination is that of the other one")
	f.IntVar(&s.Window, "window", 0, "messages in flight, 0 for the default: 32768 divided by the subscribers, but 16 to 1024")
	return cmd
}

func (p *Program) benchReplay() *cobra.Command {
	var s bench.Replay
	cmd := p.benchCommand("replay", "Clients that come back to a history", `First, in each of --rounds, a subscriber gets --messages live; then a client comes back with
the offset from before and gets all of them. The result has both rates and their ratio. The
count is of the messages that this client gets.

Then --clients come back at once, and each has missed the same --behind messages, while
others are published. The result has the time from the first connection until every client
has got what it missed and then the latest message, and with --server-pid the server's memory.

The run fails if a client misses a message or gets one twice. --warmup and --duration have
no effect. The default of --destination is /topic/bench-history.

`+keepBench, `  hoofbeat bench replay --server-pid $(pidof hoofbeat)
  hoofbeat bench replay --messages 0 --clients 10000 --behind 100 --parallel 64`, &s)
	f := cmd.Flags()
	messages := f.Int("messages", 100_000, "messages that one client gets, 0 for none")
	f.IntVar(&s.Rounds, "rounds", 3, "how often it does so")
	clients := f.Int("clients", 1000, "clients that come back at once, 0 for none")
	f.IntVar(&s.Behind, "behind", 1000, "messages that each of them has missed")
	f.IntVar(&s.Window, "window", 1024, "live messages in flight")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		for _, n := range []struct {
			name  string
			given int
			to    *int
		}{{"messages", *messages, &s.Messages}, {"clients", *clients, &s.Clients}} {
			if *n.to = n.given; n.given == 0 {
				*n.to = -1
			} else if n.given < 0 {
				return usagef("--%s %d is negative", n.name, n.given)
			}
		}
		return nil
	}
	return cmd
}

func rateFlags(f *pflag.FlagSet, rate *float64, window *int, preset string) {
	f.Float64Var(rate, "rate", 0, "messages per second of all senders together, 0 = unlimited")
	f.IntVar(window, "window", 0, "without --rate: messages in flight, 0 for the default: "+preset)
}

// benchCommand makes the command of a scenario with the flags of all of them.
func (p *Program) benchCommand(name, short, long, example string, s bench.Scenario) *cobra.Command {
	b := &load{connection: connection{program: p}}
	cmd := &cobra.Command{
		Use:     name + " [flags]",
		Short:   short,
		Long:    long + "\n\n" + connectHelp + "\nA %d in --login becomes the number of the connection. A ticket in the URL works only once.\nSee also hoofbeat bench --help.\n\n" + benchJSONHelp + "\n\n" + benchExit,
		Example: example,
		RunE:    func(cmd *cobra.Command, _ []string) error { return b.run(cmd, s) },
	}
	b.addFlags(cmd)
	f := cmd.Flags()
	f.IntVar(&b.conf.Size, "size", 128, "bytes in the body of a message, at least 32")
	f.DurationVar(&b.conf.Warmup, "warmup", 2*time.Second, "time before the measurement starts")
	f.DurationVar(&b.conf.Duration, "duration", 5*time.Second, "time of the measurement")
	f.DurationVar(&b.conf.Patience, "patience", 5*time.Second, "silence after which missing messages count as lost")
	f.IntVar(&b.conf.Parallel, "parallel", 32, "connections opened at a time")
	f.IntVar(&b.conf.Sources, "source-addresses", 0, "addresses 127.0.x.y to connect from, 0 for one, or more if the ports need it")
	f.StringVar(&b.conf.Destination, "destination", "", "prefix of the destinations, default /topic/bench or /queue/bench")
	f.StringArrayVarP(&b.headers, "header", "H", nil, "header of every SEND and SUBSCRIBE as name:value; may be repeated")
	f.IntVar(&b.conf.ServerPID, "server-pid", 0, "process of the server, to measure its CPU time and memory")
	f.BoolVar(&b.json, "json", false, "print the result as one JSON object")
	return cmd
}

func (b *load) run(cmd *cobra.Command, s bench.Scenario) error {
	p := b.program
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"timeout", b.timeout}, {"duration", b.conf.Duration}, {"patience", b.conf.Patience}} {
		if d.d <= 0 {
			return usagef("--%s %v is not positive", d.name, d.d)
		}
	}
	if b.conf.Warmup == 0 {
		b.conf.Warmup = -1
	}
	var err error
	if b.conf.Headers, err = headers(b.headers, frame.Destination, frame.ContentLength, frame.Receipt, frame.Id, frame.Ack); err != nil {
		return err
	}
	if b.conf.Login, b.conf.Passcode, err = b.credential(); err != nil {
		return err
	}
	b.conf.Target.URL, b.conf.Host, b.conf.Timeout = b.server(), b.host, b.timeout
	_, live := terminal(p.Err)
	b.conf.Progress = bench.NewProgress(p.Err, live)
	result, err := bench.Run(cmd.Context(), b.conf, s)
	switch {
	case errors.Is(err, bench.ErrOptions):
		return usageError{err}
	case errors.Is(err, bench.ErrInterrupted):
		return errInterrupted
	case err != nil:
		return b.advise(s, err)
	}
	if b.json {
		e := json.NewEncoder(p.Out)
		e.SetEscapeHTML(false)
		err = e.Encode(result)
	} else {
		err = result.Table(p.Out)
	}
	switch {
	case err != nil:
		return err
	case result.Interrupted:
		return errInterrupted
	case !result.Passed():
		return fmt.Errorf("FAIL: %s", strings.Join(result.Failures, "\nFAIL: "))
	}
	return nil
}

// advise adds advice to an error about a denied destination.
func (b *load) advise(s bench.Scenario, err error) error {
	var refused *client.ErrorFrame
	if _, ok := s.(*bench.Users); ok && errors.As(err, &refused) {
		return fmt.Errorf("%w\nthe server must let clients send to other users: see hoofbeat bench users --help", err)
	}
	return err
}
