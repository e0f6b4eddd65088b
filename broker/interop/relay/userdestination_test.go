package relay_test

import (
	"strconv"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestUserDestinationMessageHandlerBroadcast: node a has a message for bob, who
// is connected to node b. What a cannot resolve it sends to the topic of
// setUserDestinationBroadcast, with the destination as the application wrote it
// in simpOrigDestination (BroadcastHandler.handleUnresolved). Every node, a
// included, hears it on its system session; b resolves it and sends it on.
func TestUserDestinationMessageHandlerBroadcast(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	a, b, bob := system(t, srv.TCP), system(t, srv.TCP), client(t, srv.TCP)
	bob.say(t, fill(userSubscribe, "session", "s7"))
	subscribed(t, srv.Broker, 5)

	a.say(t, "SEND\nx-trace:1\nsimpOrigDestination:/user/bob/queue/replies\ndestination:/topic/unresolved-user-destination\n"+
		"content-type:application/json\ncontent-length:11\n\n{\"ok\":\"č\"}\x00")
	for _, node := range []*peer{a, b} {
		// BroadcastHandler.preHandle takes the destination from
		// simpOrigDestination, and all the other headers but subscription and
		// message-id go out again: there must be no others.
		m := node.wantMessage(t, `{"ok":"č"}`, "subscription", "0", "destination", "/topic/unresolved-user-destination",
			"simpOrigDestination", "/user/bob/queue/replies", "x-trace", "1")
		wantNames(t, m, "subscription", "message-id", "destination", "simpOrigDestination", "x-trace", "content-type", "content-length")
	}
	// What b makes of it: the copied headers, with the destination of bob's session
	// and in simpOrigDestination what his page subscribed to.
	b.say(t, "SEND\ndestination:/queue/replies-users7\nx-trace:1\nsimpOrigDestination:/user/queue/replies\n"+
		"content-type:application/json\ncontent-length:11\n\n{\"ok\":\"č\"}\x00")
	bob.wantMessage(t, `{"ok":"č"}`, "subscription", "sub-0", "simpOrigDestination", "/user/queue/replies", "x-trace", "1")
}

// TestUserRegistryMessageHandlerBroadcast: every 10 s each node tells the others
// on the topic of setUserRegistryBroadcast who is connected to it, as a snapshot
// of MultiServerUserRegistry in JSON. With many users that is a large message,
// which has to fit Limits.Frame.
func TestUserRegistryMessageHandlerBroadcast(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	a, b := system(t, srv.TCP), system(t, srv.TCP)
	subscribed(t, srv.Broker, 4)
	const users = 400
	body := `{"id":"node-a-2f6c0e1e-8f0a-4d9c-9d6e-0a1b2c3d4e5f","userMap":{`
	for i := range users {
		name := string(rune('a'+i/26)) + string(rune('a'+i%26))
		body += fill(`"{n}":{"name":"{n}","sessions":[{"id":"{n}-session","subscriptions":[{"id":"sub-0","destination":"/user/queue/replies"}]}]},`, "n", name)
	}
	body = body[:len(body)-1] + "}}"
	octets := fill("SEND\ndestination:/topic/simp-user-registry\ncontent-type:application/json\ncontent-length:{n}\n\n", "n", strconv.Itoa(len(body))) + body + "\x00"
	for len(octets) > 0 { // as it leaves a socket
		n := min(8192, len(octets))
		a.say(t, octets[:n])
		octets = octets[n:]
	}
	for _, node := range []*peer{a, b} {
		node.wantMessage(t, body, "subscription", "1", "content-type", "application/json", "content-length", strconv.Itoa(len(body)))
	}
}
