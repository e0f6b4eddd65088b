//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// handlerRecipe returns the block of docs/handlers.md in a language, for a server
// at another address than 127.0.0.1.
func handlerRecipe(t *testing.T, language, ip string) string {
	t.Helper()
	return strings.ReplaceAll(block(t, "handlers.md", language, 1), "127.0.0.1", ip)
}

// springJars are what the recipe for Spring needs, from Debian.
const springPackages = "apt-get install --no-install-recommends default-jdk-headless libspring-web-java libjackson2-databind-java"

func springClasses(t *testing.T, ip string) (classpath string) {
	t.Helper()
	dir := t.TempDir()
	path := []string{dir}
	for _, name := range []string{"spring3-web", "spring3-core", "commons-logging", "jackson-core", "jackson-databind", "jackson-annotations"} {
		jar := "/usr/share/java/" + name + ".jar"
		if _, err := os.Stat(jar); err != nil {
			missing(t, jar, springPackages)
		}
		path = append(path, jar)
	}
	var imports strings.Builder
	for _, name := range []string{
		"com.fasterxml.jackson.databind.*", "java.security.MessageDigest", "java.util.*", "java.util.regex.*", "javax.crypto.Mac",
		"javax.crypto.spec.SecretKeySpec", "org.springframework.http.ResponseEntity", "org.springframework.web.bind.annotation.*",
	} {
		fmt.Fprintf(&imports, "import %s;\n", name)
	}
	source := filepath.Join(dir, "OrdersController.java")
	if err := os.WriteFile(source, []byte(imports.String()+handlerRecipe(t, "java", ip)), 0o600); err != nil {
		t.Fatal(err)
	}
	classpath = strings.Join(path, string(filepath.ListSeparator))
	cmd := exec.CommandContext(t.Context(), needs(t, "javac", springPackages), "-encoding", "UTF-8", "-cp", classpath, "-d", dir, source, "testdata/Serve.java")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return classpath
}

// TestHandlerRecipes runs the server of each recipe with the broker.
func TestHandlerRecipes(t *testing.T) {
	for name, command := range map[string]func(t *testing.T, ip string) []string{
		"node": func(t *testing.T, ip string) []string {
			return []string{needs(t, "node", "apt-get install nodejs"), write(t, "handlers.mjs", handlerRecipe(t, "js", ip))}
		},
		"php": func(t *testing.T, ip string) []string {
			return []string{needs(t, "php", "apt-get install php-cli"), "-S", ip + ":3000", write(t, "handlers.php", handlerRecipe(t, "php", ip))}
		},
		"python": func(t *testing.T, ip string) []string {
			return []string{needs(t, "python3", "apt-get install python3"), write(t, "handlers.py", handlerRecipe(t, "python", ip))}
		},
		"spring": func(t *testing.T, ip string) []string {
			return []string{needs(t, "java", springPackages), "-Xmx64m", "-cp", springClasses(t, ip), "Serve", ip}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ip := testkit.Loopback()
			startServer(t, ip, command(t, ip)...)
			useHandlerRecipe(t, "http://"+ip+":3000/orders")
		})
	}
}

// startServer runs a program until it listens at port 3000.
func startServer(t *testing.T, ip string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SECRET="+webhookSecret)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its context ends it
		close(ended)
	}()
	t.Cleanup(func() {
		testkit.Receive(t, ended)
		if t.Failed() {
			t.Logf("%s said\n%s", args[0], said.String())
		}
	})
	brokertest.Eventually(t, "the server listens", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended: %s", args[0], said.String())
		default:
		}
		c, err := net.Dial("tcp", ip+":3000")
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func useHandlerRecipe(t *testing.T, url string) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(`{"event":"send","variables":{"id":"7"},"body":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a signature: HTTP %d", res.StatusCode)
	}
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", "handlers:\n  - {destination: '/app/orders/{id}', url: '"+url+"', timeout: 10s, secret: "+webhookSecret+"}\n"))
	conn := connectAs(t, "ann", s.url, client.Options{Login: "ann"})
	subscribe := func(destination string) *stomp.Subscription {
		t.Helper()
		sub, err := conn.Subscribe(destination, stomp.AckAuto)
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	wantJSON(t, receive(t, subscribe("/app/orders/7")), "order", "7", "state", "new")
	replies, orders := subscribe("/user/queue/orders/7"), subscribe("/topic/orders")
	if err := conn.Send("/app/orders/7", "text/plain", []byte("zwei Äpfel"), stomp.SendOpt.Receipt); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, replies); string(m.Body) != "accepted zwei Äpfel" {
		t.Errorf("the reply is %q", m.Body)
	}
	wantJSON(t, receive(t, orders), "order", "7", "user", "ann")
	if err := conn.Send("/app/orders/7", "text/plain", nil, stomp.SendOpt.Receipt); err == nil {
		t.Error("an empty order is accepted")
	}
	closed(t, conn, 4403)
	var no *client.ErrorFrame
	if !errors.As(conn.Err(), &no) || no.Message != "an order needs a text" {
		t.Errorf("the session ends with %v", conn.Err())
	}
}

// wantJSON checks the members of a message.
func wantJSON(t *testing.T, m *stomp.Message, pairs ...string) {
	t.Helper()
	var got map[string]string
	if err := json.Unmarshal(m.Body, &got); err != nil || m.ContentType != "application/json" || len(got) != len(pairs)/2 {
		t.Fatalf("%s %q: %v", m.ContentType, m.Body, err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if got[pairs[i]] != pairs[i+1] {
			t.Errorf("%s is %q, want %q", pairs[i], got[pairs[i]], pairs[i+1])
		}
	}
}

// The server of the README, with its configuration.
func TestREADMEHandler(t *testing.T) {
	const heading = "Handlers in any language"
	ip := testkit.Loopback()
	place := func(text string) string {
		if !strings.Contains(text, "127.0.0.1") {
			t.Fatalf("there is no address in\n%s", text)
		}
		return strings.ReplaceAll(text, "127.0.0.1", ip)
	}
	startServer(t, ip, needs(t, "node", "apt-get install nodejs"), write(t, "handler.mjs", place(readmeBlock(t, heading, "js"))))
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", place(readmeBlock(t, heading, "yaml"))))
	conn := connectAs(t, "ann", s.url, client.Options{Login: "ann"})
	replies, err := conn.Subscribe("/user/queue/orders/7", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	orders, err := conn.Subscribe("/topic/orders", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Send("/app/orders/7", "", []byte("apples"), stomp.SendOpt.Receipt); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, replies); string(m.Body) != "order 7: apples" {
		t.Errorf("the reply is %q", m.Body)
	}
	wantJSON(t, receive(t, orders), "id", "7", "user", "ann")
}
