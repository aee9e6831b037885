package config

func (l *loader) checkRoutes() {}
