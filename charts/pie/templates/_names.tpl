{{/* Name of every object of the chart: the release, and "pie" unless the release is called so already. */}}
{{- define "pie.name" -}}
{{- if contains "pie" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-pie" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of the objects that have no namespace: two releases in two namespaces may share a name. */}}
{{- define "pie.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "pie.name" .) -}}
{{- end -}}

{{/* What the pods of the controller are found by. Never changes between versions. */}}
{{- define "pie.selectorLabels" -}}
app.kubernetes.io/name: pie
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pie.labels" -}}
{{ include "pie.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The image, of the controller and of the probe pods alike. */}}
{{- define "pie.image" -}}
{{- $repository := required "image.repository is empty: say where your cluster pulls pie's image from, for example --set image.repository=registry.example.com/pie" .Values.image.repository -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
