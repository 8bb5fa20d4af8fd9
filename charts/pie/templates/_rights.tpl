{{/* What pie may do in the namespaces whose PieProbes it serves. */}}
{{- define "pie.rights" -}}
- apiGroups: [pie.topolvm.io]
  resources: [pieprobes]
  verbs: [list, watch]
- apiGroups: [pie.topolvm.io]
  resources: [pieprobes/status]
  verbs: [patch]
# Needed to set blockOwnerDeletion in owner references, in clusters that check it.
- apiGroups: [pie.topolvm.io]
  resources: [pieprobes/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get, list, watch, create, patch, delete]
# pie deletes the Jobs of counted runs, and creates Jobs for follow-up runs.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, delete]
# Created for PieProbes with runner Pod. Patched only to remove the finalizer of the Go implementation from pods that
# still have it.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch, create]
{{- if .Values.snapshots }}
# For the canary snapshot. A snapshot is deleted with the pod that owns it.
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshots]
  verbs: [get, create]
{{- end }}
{{- end -}}
