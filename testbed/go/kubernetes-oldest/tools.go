//go:build tools

// Package tools pins the API server of the oldest Kubernetes that pie is tried on.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver" // kube-apiserver-oldest
)
