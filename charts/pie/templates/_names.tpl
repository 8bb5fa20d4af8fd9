{{/* Name of every object of the chart, as in the chart of the Go implementation, so that an upgrade keeps the objects. */}}
{{- define "pie.name" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of the objects that have no namespace. It has the namespace in it, because two releases may have one name. */}}
{{- define "pie.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "pie.name" .) -}}
{{- end -}}

{{/* Name of the PriorityClass for probe pods. */}}
{{- define "pie.priorityClassName" -}}
{{- .Values.probePriorityClass.name | default (printf "%s-probe" (include "pie.clusterName" .)) -}}
{{- end -}}

{{- define "pie.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "pie.name" .) -}}
{{- end -}}

{{/*
Labels by which the controller's pods are selected: those of the chart of the Go implementation. They must never change
between versions, because the selector of a Deployment cannot change.
*/}}
{{- define "pie.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pie.labels" -}}
{{ include "pie.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The image of the controller and of the probe pods. */}}
{{- define "pie.image" -}}
{{- if .Values.image.reference -}}
{{- .Values.image.reference -}}
{{- else -}}
{{- $repository := required "image.repository is empty: say where your cluster pulls pie's image from, for example --set image.repository=registry.example.com/pie" .Values.image.repository -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* What all probe pods get, as JSON. A null leaves the choice to the cluster. */}}
{{- define "pie.probePods" -}}
{{- $pods := deepCopy .Values.probePods -}}
{{- if .Values.openshift -}}
{{- $_ := set $pods "securityContext" (merge (dict "runAsUser" nil "runAsGroup" nil "fsGroup" nil) $pods.securityContext) -}}
{{- end -}}
{{- toJson $pods -}}
{{- end -}}

{{/* Security context of the chart's own pods. */}}
{{- define "pie.podSecurityContext" -}}
{{- if .Values.openshift -}}
{{- omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup" | toYaml -}}
{{- else -}}
{{- toYaml .Values.podSecurityContext -}}
{{- end -}}
{{- end -}}

{{/* How Prometheus asks: the end of an endpoint of a monitor. Takes the root and the values of the monitor. */}}
{{- define "pie.scraping" -}}
{{- $root := index . 0 -}}
{{- $monitor := index . 1 -}}
scheme: {{ $monitor.scheme | default (ternary "https" "http" (not (empty $root.Values.webConfig.secrets))) }}
{{- if $root.Values.allNamespaces }}
# The label `namespace` is that of the PieProbe, as pie has it.
honorLabels: true
{{- end }}
{{- with $monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Annotations of the objects of `helm test`, with their weight. A failed test keeps its pod, for its log. */}}
{{- define "pie.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/*
Annotations of the objects that exist only while the release is uninstalled. After the deletion: a hook that fails
before it would keep the release.
*/}}
{{- define "pie.uninstallHook" -}}
helm.sh/hook: post-delete
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}
