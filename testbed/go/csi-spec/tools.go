//go:build tools

// Package tools pins the two modules whose .proto files the testbed's CSI driver is generated from.
package tools

import (
	_ "github.com/container-storage-interface/spec/lib/go/csi"
	_ "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)
