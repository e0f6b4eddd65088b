package webflow_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/storetest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// The store in memory keeps the contract of all stores.
func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Operations(t, func(*testing.T) (a, b webflow.Store) {
		m := webflow.NewMemory()
		return m, m
	})
}
