//go:build unix

package main

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The binary delays messages within its limits, lists and cancels them with
// curl, makes dead letters of what has expired, publishes once, and says at its
// end what it loses.
func TestDelayExpiryAndOnceInTheBinary(t *testing.T) {
	t.Parallel()
	s := serve(t, []string{"HOOFBEAT_QUEUES_DELAYED=2", "HOOFBEAT_QUEUES_EXPIRED=dead_letter", "HOOFBEAT_LIMITS_DEDUP_IDS=1"})
	auth, messages, delayed := "Authorization: Bearer "+s.token(t), s.admin+"/api/v1/messages", s.admin+"/api/v1/delayed"
	post := func(status int, text, body string) {
		t.Helper()
		wantHTTP(t, status, text, "-H", auth, "--json", body, messages)
	}
	var list struct {
		Total int
		Items []struct {
			ID, Destination string
			Due             time.Time
		}
	}
	for range 2 {
		post(202, "message_id", `{"destination":"/queue/later","headers":{"delay":"3600000"}}`)
	}
	post(429, "more than 2 delayed messages (queues.delayed)", `{"destination":"/queue/later","headers":{"delay":"1"}}`)
	if s.call(t, http.MethodGet, "/api/v1/delayed?destination=/queue/later", "", &list); list.Total != 2 || time.Until(list.Items[0].Due) < 50*time.Minute {
		t.Fatalf("the list is %+v", list)
	}
	wantHTTP(t, 204, "", "-H", auth, "-X", "DELETE", delayed+"/"+list.Items[0].ID)
	wantHTTP(t, 404, "no delayed message has this id", "-H", auth, "-X", "DELETE", delayed+"/"+list.Items[0].ID)

	post(202, "message_id", `{"destination":"/queue/soon","headers":{"delay":"1","ttl":"1"}}`)
	brokertest.Eventually(t, "the message is due, expires and is a dead letter", func() bool {
		var found struct{ Items []struct{ Messages int } }
		s.call(t, http.MethodGet, "/api/v1/destinations?prefix=/queue/DLQ.soon", "", &found)
		return len(found.Items) == 1 && found.Items[0].Messages == 1
	})

	post(202, "message_id", `{"destination":"/queue/a","headers":{"message-dedup-id":"x"}}`)
	post(202, `"duplicate":true`, `{"destination":"/queue/a","headers":{"message-dedup-id":"x"}}`)
	post(429, "limits.dedup_ids", `{"destination":"/queue/a","headers":{"message-dedup-id":"y"}}`)

	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	if log := s.Log("delayed messages discarded: they were in memory only"); len(log) != 1 || log[0]["messages"] != 1.0 {
		t.Errorf("the log has %v", log)
	}
}
