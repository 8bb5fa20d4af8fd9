//go:build tools

// Package tools pins Kubernetes 1.33, which only `make versions` builds.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"          // kube-apiserver-1.33
	_ "k8s.io/kubernetes/cmd/kube-controller-manager" // kube-controller-manager-1.33
	_ "k8s.io/kubernetes/cmd/kube-scheduler"          // kube-scheduler-1.33
	_ "k8s.io/kubernetes/cmd/kubelet"                 // kubelet-1.33
)
