package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// plantedSecret is that of the clusters of the tests: it must be in nothing that
// anybody can read.
const plantedSecret = "planted-secret-of-the-nodes-0123"

// threeNodes are three nodes of a cluster. Each has loopback addresses of its
// own, so that its ports are free whenever it starts.
type threeNodes struct {
	config string
	peers  []string
	dirs   []string
	nodes  []*server
	old    []*process.Process // that have ended
}

func startCluster(t *testing.T) *threeNodes {
	t.Helper()
	c := &threeNodes{nodes: make([]*server, 3), config: write(t, "hoofbeat.yaml", `
rules:
  - {allow: [subscribe, send], destination: "/topic/**"}
  - {allow: [subscribe, send], destination: "/queue/**"}
`)}
	for range c.nodes {
		c.peers = append(c.peers, testkit.Loopback()+":6222")
		c.dirs = append(c.dirs, filepath.Join(t.TempDir(), "store"))
	}
	var starting sync.WaitGroup
	for i := range c.nodes {
		starting.Go(func() { c.nodes[i] = serveWith(t, c.options(i)) })
	}
	testkit.Wait(t, &starting)
	if t.Failed() || slices.Contains(c.nodes, nil) {
		t.FailNow()
	}
	return c
}

// options are those of a node.
func (c *threeNodes) options(i int) process.Options {
	return process.Options{
		Binary: program, Restartable: true,
		Env: []string{
			"HOOFBEAT_ADMIN_TOKEN=" + testToken, "HOOFBEAT_QUEUES_MODE=broadcast", "HOOFBEAT_CLUSTER_SECRET=" + plantedSecret,
			"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_ANONYMOUS=true", "HOOFBEAT_LOG_LEVEL=debug",
		},
		Args: []string{
			"-c", c.config, "--cluster-name", "n" + strconv.Itoa(i+1), "--cluster-listen", c.peers[i], "--cluster-peers", strings.Join(c.peers, ","),
			"--store-dir", c.dirs[i],
		},
	}
}

// names are those of the nodes that a page learns of at /app/bootstrap.
func (s *server) names(t *testing.T) (names []string) {
	t.Helper()
	conn := connectAs(t, "", s.url, client.Options{})
	defer conn.Abort()
	sub, err := conn.Subscribe("/app/bootstrap", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Nodes []struct {
			ID, URL  string
			Attached bool
		}
	}
	m := receive(t, sub)
	if err := json.Unmarshal(m.Body, &answer); err != nil {
		t.Fatalf("%v in %s", err, m.Body)
	}
	for _, n := range answer.Nodes {
		if !strings.HasPrefix(n.URL, "ws://127.") || n.Attached != (n.URL == s.url) {
			t.Errorf("bootstrap: %s", m.Body)
		}
		names = append(names, n.ID)
	}
	return names
}

// lists waits until a node lists these to a page, and logs how long that took.
func (s *server) lists(t *testing.T, what string, names ...string) {
	t.Helper()
	began := time.Now()
	brokertest.Eventually(t, what, func() bool { return slices.Equal(s.names(t), names) })
	t.Logf("%s: listed after %v", what, time.Since(began).Round(10*time.Millisecond))
}

// passes checks that what is sent to a destination on one node is heard on the
// others.
func (c *threeNodes) passes(t *testing.T, destination string, from int, to ...int) {
	t.Helper()
	var subs []*stomp.Subscription
	for _, i := range to {
		subs = append(subs, subscribed(t, connectAs(t, "", c.nodes[i].url, client.Options{}), destination))
	}
	publish := func(text string) {
		body := `{"destination":"` + destination + `","body":"` + text + `"}`
		if code := c.nodes[from].call(t, "POST", "/api/v1/messages", body, nil); code/100 != 2 {
			t.Fatalf("publishing: HTTP %d", code)
		}
	}
	publish("one")
	publish("two")
	for i, sub := range subs {
		for _, want := range []string{"one", "two"} {
			if m := receive(t, sub); string(m.Body) != want {
				t.Errorf("%s from n%d: n%d hears %q, want %q", destination, from+1, to[i]+1, m.Body, want)
			}
		}
	}
}

// Three nodes serve the same clients. One is killed and comes back,
// one is drained, and of the last two one is killed.
func TestX22X26X27X32X40Cluster(t *testing.T) {
	whole := t
	c := startCluster(t)
	n1, n2, n3 := c.nodes[0], c.nodes[1], c.nodes[2]
	t.Run("topics", func(t *testing.T) {
		for _, destination := range []string{"/topic/prices/gold", "/queue/prices"} {
			c.passes(t, destination, 0, 0, 1, 2)
			c.passes(t, destination, 2, 1)
		}
	})
	t.Run("X-26: only the listeners are reachable", func(t *testing.T) { onlyListeners(t, c, 0) })
	t.Run("X-27: a ticket is good on all nodes, once", func(t *testing.T) {
		for range 3 {
			ticket := adminTicket(t, n1, `{"user":"ann"}`)
			connectAs(t, "ann", n2.url+"?ticket="+ticket, client.Options{})
			for i, s := range c.nodes {
				if conn, err := dial(t, s.url+"?ticket="+ticket, client.Options{}); err == nil {
					t.Errorf("on n%d a used ticket connects %s", i+1, conn.Header().Get("user-name"))
				}
			}
		}
		ticket := adminTicket(t, n3, `{"user":"bob"}`)
		if code := n1.call(t, "POST", "/api/v1/revocations", `{"user":"bob"}`, nil); code != http.StatusOK {
			t.Fatalf("revocation: HTTP %d", code)
		}
		brokertest.Eventually(t, "a revoked ticket is dead on another node", func() bool {
			conn, err := dial(t, n2.url+"?ticket="+ticket, client.Options{})
			if err == nil {
				t.Logf("it connects %s", conn.Header().Get("user-name"))
				ticket = adminTicket(t, n3, `{"user":"bob"}`)
			}
			return err != nil
		})
	})
	t.Run("a page waits on one node and its result comes from another", func(t *testing.T) {
		id := announce(t, n2, "login-1", `{}`)
		ticket := adminTicket(t, n3, `{"user":"visitor-1","operation":"login-1"}`)
		page := newWaiter(t, connectAs(t, "visitor-1", n1.url+"?ticket="+ticket, client.Options{}))
		if ok, _ := page.register(t, id); !ok {
			t.Fatal("the page may not wait")
		}
		if code := n3.call(t, "POST", "/api/v1/operations/login-1/result", `{"result":"CONFIRMED"}`, nil); code != http.StatusOK {
			t.Fatalf("reporting: HTTP %d", code)
		}
		if m := receive(t, page.results); string(m.Body) != result(id, `"CONFIRMED"`) {
			t.Errorf("the page is told %s", m.Body)
		}
	})
	t.Run("X-32: bootstrap", func(t *testing.T) {
		for i, s := range c.nodes {
			s.lists(t, "three nodes run, says n"+strconv.Itoa(i+1), "n1", "n2", "n3")
		}
		n3.Kill(t)
		c.old = append(c.old, n3.Process)
		n1.lists(t, "n3 was killed", "n1", "n2")
		c.passes(t, "/topic/two", 0, 1)
		n3 = &server{Server: n3.Restart(whole)} // it outlives this part of the test
		n3.url, n3.admin, n3.tcp = n3.URL, n3.Admin, n3.TCP
		c.nodes[2] = n3
		n1.lists(t, "n3 has come back", "n1", "n2", "n3")
		c.passes(t, "/topic/three", 2, 0, 1)
		c.passes(t, "/topic/three", 0, 2)
	})
	t.Run("status", func(t *testing.T) {
		out := run(t, 0, []string{"HOOFBEAT_ADMIN_TOKEN=" + testToken}, "cluster", "status", "--admin", n2.admin).Stdout()
		for _, want := range []string{"NODE ", "n1 ", "n2* ", "n3 ", "meta"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		out = run(t, 0, []string{"HOOFBEAT_ADMIN_TOKEN=" + testToken}, "cluster", "status", "--json", "--admin", n2.admin).Stdout()
		if strings.Count(out, `"live":true`) != 3 || strings.Count(out, `"ready":true`) != 3 {
			t.Errorf("three nodes are live:\n%s", out)
		}
	})
	t.Run("X-22: who does not belong", func(t *testing.T) { whoDoesNotBelong(t, c) })
	t.Run("a node without a store", func(t *testing.T) { withoutAStore(t, c) })
	t.Run("X-32: drain", func(t *testing.T) {
		n2.Signal(t, syscall.SIGTERM)
		n1.lists(t, "n2 drains", "n1", "n3")
		n2.Exit(t, 0)
		c.old = append(c.old, n2.Process)
		c.passes(t, "/topic/left", 0, 2)
	})
	t.Run("the last has no majority", func(t *testing.T) {
		open := connectAs(t, "", n1.url, client.Options{})
		sub := subscribed(t, open, "/topic/open")
		n3.Kill(t)
		c.old = append(c.old, n3.Process)
		brokertest.Eventually(t, "n1 says that it has no leader", func() bool {
			code, text := get(t, n1.web()+"/readyz?verbose")
			return code == http.StatusServiceUnavailable && strings.Contains(text, "no meta leader for ")
		})
		refused(t, http.StatusServiceUnavailable, n1.url, client.Options{})
		if err := open.Send("/topic/open", "text/plain", []byte("here")); err != nil {
			t.Fatal(err)
		}
		if m := receive(t, sub); string(m.Body) != "here" {
			t.Errorf("the open session hears %q", m.Body)
		}
	})
	t.Run("X-40: no secret is told", func(t *testing.T) {
		n1.stacks(t)
		texts := map[string]string{"log of n1": n1.Stderr() + n1.Stdout()}
		for i, p := range c.old {
			texts["log of process "+strconv.Itoa(i)] = p.Stderr() + p.Stdout()
		}
		for _, path := range []string{"/api/v1/cluster", "/api/v1/stats", "/api/v1/openapi.json", "/readyz?verbose"} {
			var answer json.RawMessage
			n1.call(t, "GET", path, "", &answer)
			texts[path] = string(answer)
		}
		for name, text := range texts {
			if len(text) == 0 || strings.Contains(text, plantedSecret) {
				t.Errorf("the secret is in the %s, or that is empty", name)
			}
		}
	})
}

// onlyListeners checks that nothing of a node listens but the configured
// addresses, and a port of the engine on loopback that wants a password.
func onlyListeners(t *testing.T, c *threeNodes, i int) {
	t.Helper()
	s := c.nodes[i]
	known := map[string]bool{c.peers[i]: true}
	for _, address := range s.Addresses {
		known[address] = true
	}
	engines := 0
	for _, address := range listeningOn(t, s.Pid()) {
		if known[address] {
			continue
		}
		engines++
		if !strings.HasPrefix(address, "127.0.0.1:") {
			t.Errorf("%s can be reached from other machines", address)
		}
		if said := askEngine(t, address); !strings.Contains(said, "Authorization Violation") {
			t.Errorf("without a password %s says %q", address, said)
		}
	}
	if engines > 1 {
		t.Errorf("%d sockets listen besides %v", engines, known)
	}
}

// listeningOn returns the IPv4 addresses on which a process listens.
func listeningOn(t *testing.T, pid int) (all []string) {
	t.Helper()
	proc := "/proc/" + strconv.Itoa(pid)
	own := make(map[string]bool)
	links, err := filepath.Glob(proc + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil { // otherwise it was closed meanwhile
			own[to] = true
		}
	}
	for line := range strings.Lines(readFile(t, proc, "net", "tcp")) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" || !own["socket:["+f[9]+"]"] {
			continue
		}
		host, port, _ := strings.Cut(f[1], ":")
		ip, err := strconv.ParseUint(host, 16, 32)
		n, portErr := strconv.ParseUint(port, 16, 16)
		if err != nil || portErr != nil {
			t.Fatalf("%s: %q", proc, line)
		}
		// The address is a number in the order of this machine.
		all = append(all, net.JoinHostPort(net.IPv4(byte(ip), byte(ip>>8), byte(ip>>16), byte(ip>>24)).String(), strconv.FormatUint(n, 10)))
	}
	if len(all) == 0 {
		t.Fatal("nothing listens, so nothing is proven")
	}
	return all
}

// askEngine talks to the port of an engine without a password.
func askEngine(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("CONNECT {\"verbose\":false}\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		said.Write(buf[:n])
		if err != nil || strings.Contains(said.String(), "PONG") || strings.Contains(said.String(), "-ERR") {
			return said.String()
		}
	}
}

// whoDoesNotBelong starts nodes that the cluster refuses.
func whoDoesNotBelong(t *testing.T, c *threeNodes) {
	t.Helper()
	serve := func(o process.Options, listen string) *process.Process {
		o.Env = append(o.Env, "HOOFBEAT_LISTEN="+listen, "HOOFBEAT_ADMIN="+listen)
		return start(t, o.Env, append([]string{"serve"}, o.Args...)...)
	}
	fails := func(name string, code int, o process.Options, want string) {
		t.Helper()
		p := serve(o, "127.0.0.1:0")
		p.Exit(t, code)
		if !strings.Contains(p.Stderr(), want) || strings.Contains(p.Stderr(), plantedSecret) {
			t.Errorf("%s: no %q in\n%s", name, want, p.Stderr())
		}
	}
	o := c.options(2)
	fails("a second process with a directory", 1, o, "store.dir")

	o = c.options(2)
	o.Args = append(o.Args, "--cluster-listen", "0.0.0.0:0", "--cluster-advertise", c.peers[2])
	o.Env = append(o.Env, "HOOFBEAT_CLUSTER_SECRET=")
	fails("no secret beyond loopback", 2, o, "set cluster.secret")

	address := testkit.Loopback()
	edge := process.Options{
		Env: append(c.options(0).Env, "HOOFBEAT_CLUSTER_SECRET=planted-but-not-that-of-the-others"),
		Args: []string{
			"--cluster-name", "stranger", "--cluster-listen", address + ":6222", "--cluster-peers", strings.Join(c.peers, ","),
		},
	}
	p := start(t, append(edge.Env, "HOOFBEAT_LISTEN="+address+":8080", "HOOFBEAT_ADMIN="+address+":8081"), append([]string{"serve"}, edge.Args...)...)
	p.Logged(t, "listening for other nodes", 1)
	brokertest.Eventually(t, "a node with another secret is not ready and says why", func() bool {
		code, text := get(t, "http://"+address+":8081/readyz?verbose")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "secret")
	})
	p.Kill(t)
	if strings.Contains(p.Stderr(), plantedSecret) || strings.Contains(p.Stderr(), "planted-but") {
		t.Errorf("a secret is in the log:\n%s", p.Stderr())
	}
}

// withoutAStore starts a node without a directory, which serves clients as the
// others do.
func withoutAStore(t *testing.T, c *threeNodes) {
	t.Helper()
	o := c.options(0)
	o.Args = []string{"-c", c.config, "--cluster-name", "n4", "--cluster-listen", testkit.Loopback() + ":6222", "--cluster-peers", strings.Join(c.peers, ",")}
	edge := serveWith(t, o)
	c.nodes[0].lists(t, "n4 has come", "n1", "n2", "n3", "n4")
	ticket := adminTicket(t, edge, `{"user":"ann"}`)
	connectAs(t, "ann", c.nodes[1].url+"?ticket="+ticket, client.Options{})
	refused(t, http.StatusUnauthorized, edge.url+"?ticket="+ticket, client.Options{})
	sub := subscribed(t, connectAs(t, "", edge.url, client.Options{}), "/topic/edge")
	if code := c.nodes[2].call(t, "POST", "/api/v1/messages", `{"destination":"/topic/edge","body":"x"}`, nil); code/100 != 2 {
		t.Fatalf("publishing: HTTP %d", code)
	}
	if m := receive(t, sub); string(m.Body) != "x" {
		t.Errorf("the edge hears %q", m.Body)
	}
	edge.Stop(t)
	c.nodes[0].lists(t, "n4 has gone", "n1", "n2", "n3")
}
