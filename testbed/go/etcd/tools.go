//go:build tools

// Package tools pins etcd, the store of the testbed's control plane.
package tools

import _ "go.etcd.io/etcd/server/v3" // etcd
