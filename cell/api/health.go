package api

import "github.com/gin-gonic/gin"

// Probe is the answer of /livez and /readyz.
type Probe struct {
	Status  string            `json:"status"`
	Checks  map[string]string `json:"checks,omitempty"`
	Reasons []string          `json:"reasons,omitempty"`
}

func (s *Server) live(c *gin.Context) error {
	s.Health.Live(c.Writer, c.Request)
	return nil
}

func (s *Server) ready(c *gin.Context) error {
	s.Health.Ready(c.Writer, c.Request)
	return nil
}
